//! Binance's public dump files (`BTCUSDT-1m-2026-02.csv`): 12 columns, times in microseconds since
//! 2025 and in milliseconds before, with or without a line of headings.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::rules::asset::Asset;
use crate::rules::market::{Basis, STREAM_LAG};
use crate::rules::price::{Method, PriceAt, Priced, Source};
use crate::rules::text::printable;
use crate::rules::units::{UnixSeconds, decimal_from_text};
use crate::sources::candles::fallback::{PriceSource, SourceAnswer};
use crate::sources::candles::{Candle, CandleRows};
use crate::sources::http::RequestStats;

/// The number of bad lines of a file that are listed; the others are counted.
const BAD_LINES_NAMED: usize = 5;
/// The longest line, in bytes. A longer one is read as several lines, none of which is a candle.
const LONGEST_LINE: u64 = 4096;

/// Dump files as a source of prices.
#[derive(Debug)]
pub struct DumpFiles {
    paths: Vec<PathBuf>,
}

impl DumpFiles {
    /// These files, read when prices are wanted.
    pub fn new(paths: Vec<PathBuf>) -> Self {
        Self { paths }
    }
}

impl PriceSource for DumpFiles {
    fn source(&self) -> Source {
        Source::Candles
    }

    fn prices(
        &mut self,
        asset: Asset,
        wanted: &BTreeSet<PriceAt>,
        now: UnixSeconds,
    ) -> SourceAnswer {
        let opens = opens_of(wanted);
        let mut book = CandleRows::default();
        let mut answer = SourceAnswer::default();
        let theirs: Vec<&PathBuf> =
            self.paths.iter().filter(|path| asset_of(path) == asset).collect();
        if theirs.is_empty() {
            let symbol = asset.symbol().to_uppercase();
            answer.answered = true;
            answer.problems.push(format!(
                "no file has prices of {symbol}; a file's name begins with its pair, such as \
                 {symbol}USDT-1m.csv"
            ));
        }
        for path in theirs {
            let read = File::open(path)
                .map_err(|error| error.to_string())
                .map(|file| read_dump(BufReader::new(file), &opens, &mut book, now));
            match read {
                Ok(read) => {
                    answer.answered |= read.candles > 0;
                    answer.problems.extend(read.complaints(path));
                }
                Err(error) => {
                    answer.problems.push(format!("{}: cannot be read ({error})", path.display()));
                }
            }
        }
        answer.prices =
            wanted.iter().filter_map(|quote| Some((*quote, price(&book, *quote)?))).collect();
        answer
    }

    fn stats(&self) -> RequestStats {
        RequestStats::default()
    }
}

/// The asset of a dump file, by the pair that its name begins with; bitcoin where that is no pair.
fn asset_of(path: &Path) -> Asset {
    let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_uppercase());
    let pair = name.as_deref().and_then(|name| name.split("USDT").next().filter(|it| *it != name));
    match pair {
        Some(symbol) if symbol.chars().all(|c| c.is_ascii_alphanumeric()) && !symbol.is_empty() => {
            Asset::named(symbol).unwrap_or(Asset::Other)
        }
        _ => Asset::Btc,
    }
}

/// The price for `quote`. For a mean, a file with 5-minute rows only has the open at the mean's end.
fn price(book: &CandleRows, quote: PriceAt) -> Option<Priced> {
    book.price(quote).or_else(|| {
        let open = book.price(PriceAt { basis: Basis::Point, ..quote })?;
        let Method::OpenOf(step) = open.method else { return None };
        Some(Priced { price: open.price, method: Method::OpenForMean(step) })
    })
}

/// The opening instants of every row that could price one of `quotes`.
fn opens_of(quotes: &BTreeSet<PriceAt>) -> BTreeSet<UnixSeconds> {
    let mut opens = BTreeSet::new();
    for quote in quotes {
        opens.insert(quote.at);
        if quote.basis == Basis::HourClose {
            opens.extend(super::STEPS.map(|step| quote.at.plus(-step)));
        }
        if let Basis::Twap(length) = quote.basis {
            opens.insert(quote.at.plus(-60));
            opens.extend((1..=length + STREAM_LAG).map(|second| quote.at.plus(-second)));
        }
    }
    opens
}

/// The result of reading one file.
#[derive(Debug, Default)]
struct DumpRead {
    candles: usize,
    bad: usize,
    named: Vec<String>,
}

impl DumpRead {
    fn complain(&mut self, complaint: String) {
        self.bad += 1;
        if self.named.len() < BAD_LINES_NAMED {
            self.named.push(complaint);
        }
    }

    /// Messages about the file's bad lines, with their numbers.
    fn complaints(&self, path: &Path) -> Vec<String> {
        let file = path.display();
        let mut complaints: Vec<String> = self
            .named
            .iter()
            .map(|bad| format!("{file}, {bad}; settle leaves the line out"))
            .collect();
        if self.bad > self.named.len() {
            let more = self.bad - self.named.len();
            complaints
                .push(format!("{file}: {more} more lines are not candles; settle leaves them out"));
        }
        if self.candles == 0 {
            complaints
                .push(format!("{file} holds no candle; is it a Binance dump (CSV, unzipped)?"));
        }
        complaints
    }
}

/// Reads a dump's rows that open at one of `opens` into `book`, line by line. The format has no
/// quotes.
fn read_dump(
    mut file: impl BufRead,
    opens: &BTreeSet<UnixSeconds>,
    book: &mut CandleRows,
    now: UnixSeconds,
) -> DumpRead {
    let mut read = DumpRead::default();
    let mut line = Vec::new();
    for number in 1u64.. {
        line.clear();
        let row = match file.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(_) => {
                let text = String::from_utf8_lossy(&line);
                let text = text.trim();
                let heading = number == 1 && text.starts_with(|first: char| first.is_alphabetic());
                if text.is_empty() || heading {
                    continue;
                }
                read_row(text)
            }
            Err(error) => {
                read.complain(format!("line {number}: {error}"));
                break;
            }
        };
        match row {
            Ok((step, candle)) => {
                read.candles += 1;
                if opens.contains(&candle.open_time) {
                    book.insert(step, candle, now);
                }
            }
            Err(why) => read.complain(format!("line {number}: {why}")),
        }
    }
    read
}

/// One row: its step in seconds and its candle.
fn read_row(line: &str) -> Result<(i64, Candle), String> {
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    let [open_time, open, high, low, close, volume, close_time, ref rest @ ..] = fields[..] else {
        return Err(format!("{} columns where a dump has 12", fields.len()));
    };
    let time = |text: &str| {
        text.parse::<i64>().map_err(|_| format!("'{}' is not a time", printable(text)))
    };
    let (open_time, close_time) = (time(open_time)?, time(close_time)?);
    // milliseconds have 13 digits and microseconds 16, from 2001 to 2286
    let per_second = match open_time {
        100_000_000_000..=9_999_999_999_999 => 1000,
        100_000_000_000_000..=9_999_999_999_999_999 => 1_000_000,
        _ => return Err(format!("time {open_time} is neither in milliseconds nor microseconds")),
    };
    // a candle closes one unit before the next one opens
    let length = close_time.saturating_sub(open_time).saturating_add(1);
    if open_time % per_second != 0 || length % per_second != 0 || length <= 0 {
        return Err(format!("a candle from {open_time} to {close_time} is not whole seconds long"));
    }
    let step = length / per_second;
    if !super::STEPS.contains(&step) {
        return Err(format!("Binance has no candle of {step} s"));
    }
    let price = |text: &str| {
        decimal_from_text(text).map_err(|_| format!("'{}' is not a price", printable(text)))
    };
    let open_time = UnixSeconds(open_time / per_second);
    let candle = Candle::new(open_time, price(open)?, price(high)?, price(low)?, price(close)?);
    let candle = candle.ok_or("prices are not above 0 with low ≤ open ≤ high")?;
    let amount = |text: &str| decimal_from_text(text).ok();
    // behind the close time: quote volume, count of trades
    let trades = rest.get(1).and_then(|text| amount(text));
    Ok((step, candle.traded(amount(volume)).traded(trades)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AT: UnixSeconds = UnixSeconds(1_770_987_600);
    const NOW: UnixSeconds = UnixSeconds(2_000_000_000);

    fn read(text: &str) -> (DumpRead, CandleRows) {
        let mut book = CandleRows::default();
        let opens = opens_of(&BTreeSet::from([
            PriceAt { at: AT, basis: Basis::Point },
            PriceAt { at: AT.plus(60), basis: Basis::Twap(60) },
        ]));
        let read = read_dump(text.as_bytes(), &opens, &mut book, NOW);
        (read, book)
    }

    fn open_in(text: &str) -> String {
        let (read, book) = read(text);
        assert_eq!(read.bad, 0, "{read:?}");
        book.price(PriceAt { at: AT, basis: Basis::Point }).unwrap().price.to_string()
    }

    #[test]
    fn both_time_units_with_and_without_headings() {
        let microseconds =
            "1770987600000000,67051.53,67100,67000,66894.99,1,1770987659999999,1,1,0,0,0\n";
        let milliseconds =
            "1770987600000,67051.53,67100,67000,66894.99,1,1770987659999,1,1,0,0,0\r\n";
        let headings =
            "open_time,open,high,low,close,volume,close_time,quote_volume,count,a,b,ignore\n";
        assert_eq!(open_in(microseconds), "67051.53");
        assert_eq!(open_in(milliseconds), "67051.53");
        assert_eq!(open_in(&format!("{headings}{milliseconds}")), "67051.53");
    }

    #[test]
    fn a_bad_line_is_named_with_its_number_and_the_others_are_read() {
        let text = "1770987600000,67051.53,67100,67000,66894.99,1,1770987659999,1,1,0,0,0\n\
                    \n\
                    1770987660000,abc,67100,67000,66894.99,1,1770987719999,1,1,0,0,0\n\
                    1770987720000,0,0,0,0,1,1770987779999,1,1,0,0,0\n\
                    12,13\n\
                    1770987600,67051.53,67100,67000,66894.99,1,1770987659,1,1,0,0,0\n";
        let (read, book) = read(text);
        assert_eq!((read.candles, read.bad), (1, 4));
        let complaints = read.complaints(Path::new("dump.csv"));
        assert!(
            complaints[0].starts_with("dump.csv, line 3: 'abc' is not a price"),
            "{complaints:?}"
        );
        for (complaint, line) in complaints.iter().zip([3, 4, 5, 6]) {
            assert!(complaint.contains(&format!("line {line}:")), "{complaint}");
        }
        assert!(book.price(PriceAt { at: AT, basis: Basis::Point }).is_some());
    }

    #[test]
    fn a_file_of_something_else_says_so() {
        let (read, _) = read("<html>\n<body>\n");
        assert!(read.complaints(Path::new("x")).iter().any(|line| line.contains("no candle")));
    }

    #[test]
    fn a_mean_from_minute_rows_and_from_coarser_ones() {
        let quote = PriceAt { at: AT.plus(60), basis: Basis::Twap(60) };
        let minute = "1770987600000,10,20,8,18,1,1770987659999,1,1,0,0,0\n";
        let method = price(&read(minute).1, quote).unwrap().method;
        assert!(matches!(method, Method::MeanOfMinute(_)), "{method:?}");
        let coarse = PriceAt { at: AT, basis: Basis::Twap(60) };
        let quarter = "1770987600000,10,20,8,18,1,1770988499999,1,1,0,0,0\n";
        let priced = price(&read(quarter).1, coarse).unwrap();
        assert_eq!(priced.method, Method::OpenForMean(900));
    }

    #[test]
    fn a_line_without_a_trade_is_no_price() {
        for (volume, count) in [("0", "0"), ("0.000", "1"), ("1", "0")] {
            let line = format!(
                "1770987600000,67051.53,67100,67000,66894.99,{volume},1770987659999,1,{count},0,0,0\n"
            );
            let (read, book) = read(&line);
            assert_eq!((read.candles, read.bad), (1, 0));
            assert_eq!(book.price(PriceAt { at: AT, basis: Basis::Point }), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_without_a_panic(bytes in any::<Vec<u8>>()) {
            read_dump(&bytes[..], &BTreeSet::new(), &mut CandleRows::default(), NOW);
        }

        #[test]
        fn texts_like_dumps_are_read_or_refused_without_a_panic(
            text in "([0-9]{1,19}(,-?[0-9.eE]{0,12}){0,12}\n){0,5}"
        ) {
            read_dump(text.as_bytes(), &BTreeSet::new(), &mut CandleRows::default(), NOW);
        }
    }
}

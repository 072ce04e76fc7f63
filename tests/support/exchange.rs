//! A local exchange: a real HTTP server with the formats of the four candle services, from one tape of
//! prices, and of Polymarket. A test can make it misbehave.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A request: path and query parameters.
#[derive(Debug, Clone)]
#[allow(dead_code)] // the examples do not use all of it
pub struct Asked {
    pub method: String,
    /// Path and query.
    pub target: String,
    pub body: String,
    pub path: String,
    pub query: BTreeMap<String, String>,
    /// Every `slug` parameter.
    pub slugs: Vec<String>,
    pub user_agent: Option<String>,
    /// Whether the client accepts a compressed answer.
    pub takes_compressed: bool,
}

impl Asked {
    fn number(&self, name: &str) -> Option<i64> {
        self.query.get(name)?.parse().ok()
    }

    /// Parses ISO 8601 or unix seconds, as Coinbase does.
    fn instant(&self, name: &str) -> Option<i64> {
        let text = self.query.get(name)?;
        let iso = || Some(chrono::DateTime::parse_from_rfc3339(text).ok()?.timestamp());
        text.parse().ok().or_else(iso)
    }

    /// A list of markets in the format of the requested path.
    pub fn list(&self, markets: &[&str]) -> Reply {
        let list = format!("[{}]", markets.join(","));
        match self.path.as_str() {
            "/markets/keyset" => Reply::ok(format!("{{\"markets\":{list}}}")),
            _ => Reply::ok(list),
        }
    }

    /// The service with this path.
    pub fn service(&self) -> &'static str {
        match self.path.as_str() {
            path if path.starts_with("/products/") => "coinbase",
            path if path.starts_with("/0/public/") => "kraken",
            path if path.starts_with("/api/v2/") => "bitstamp",
            path if path.starts_with("/api/v3/") => "binance",
            "/v2/resolutions" => "data",
            path if path.starts_with("/markets/0x") => "clob",
            "/events" => "polymarket",
            path if path == "/markets" || path.starts_with("/markets/") => "polymarket",
            _ => "unknown",
        }
    }
}

/// What the server sends back.
#[allow(dead_code)] // the demo only sends valid answers
pub enum Reply {
    /// Status, headers, body.
    Say(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// These bytes unchanged, then the connection is closed.
    Raw(Vec<u8>),
    /// A status of 200 and this many spaces.
    Flood(usize),
    /// A status of 200 and an endless, slow series of spaces.
    Drip,
}

impl Reply {
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::Say(200, vec![], body.into())
    }

    pub fn status(status: u16) -> Self {
        Self::Say(status, vec![], b"<html><body>no</body></html>".to_vec())
    }
}

/// Prices by instant. A candle opens at each of these instants.
#[derive(Clone, Default)]
pub struct Tape(pub BTreeMap<i64, f64>);

impl Tape {
    #[allow(dead_code)] // the measurement has its own prices
    pub fn of(prices: impl IntoIterator<Item = (i64, f64)>) -> Self {
        Self(prices.into_iter().collect())
    }

    /// Open, high, low and close of the candle of `step` seconds at `at`.
    fn candle(&self, at: i64, step: i64) -> Option<[f64; 4]> {
        let open = *self.0.get(&at)?;
        let prices = || self.0.range(at..at + step).map(|(_, price)| *price);
        let high = prices().fold(open, f64::max);
        let low = prices().fold(open, f64::min);
        Some([open, high, low, prices().next_back().unwrap_or(open)])
    }

    /// The candles of `step` that open from `first` to `last`.
    fn candles(&self, step: i64, first: i64, last: i64) -> Vec<(i64, [f64; 4])> {
        self.0
            .range(first..=last)
            .filter(|(at, _)| *at % step == 0)
            .filter_map(|(at, _)| Some((*at, self.candle(*at, step)?)))
            .collect()
    }

    /// The answer of the requested service for this tape.
    pub fn answer(&self, asked: &Asked) -> Reply {
        let answer = match asked.service() {
            "coinbase" => self.coinbase(asked),
            "kraken" => self.kraken(asked),
            "bitstamp" => self.bitstamp(asked),
            "binance" => self.binance(asked),
            _ => None,
        };
        answer.unwrap_or_else(|| Reply::status(404))
    }

    fn coinbase(&self, asked: &Asked) -> Option<Reply> {
        if asked.user_agent.is_none() {
            return Some(Reply::Say(
                400,
                vec![],
                b"{\"message\":\"User-Agent required\"}".to_vec(),
            ));
        }
        let step = asked.number("granularity")?;
        let (start, end) = (asked.instant("start")?, asked.instant("end")?);
        if (end - start) / step > 300 {
            let body = b"{\"message\":\"granularity too small for the requested time range\"}";
            return Some(Reply::Say(400, vec![], body.to_vec()));
        }
        let rows = self.candles(step, start, end).into_iter().rev();
        let rows = rows.map(|(at, [open, high, low, close])| {
            format!("[{at},{low},{high},{open},{close},1.25]")
        });
        Some(Reply::ok(format!("[{}]", rows.collect::<Vec<_>>().join(","))))
    }

    fn kraken(&self, asked: &Asked) -> Option<Reply> {
        let step = asked.number("interval")? * 60;
        let since = asked.number("since")?;
        let mut candles = self.candles(step, i64::MIN, i64::MAX);
        candles.drain(..candles.len().saturating_sub(720));
        // an old `since` is ignored, not refused
        if candles.first().is_some_and(|(first, _)| *first <= since) {
            candles.retain(|(at, _)| *at > since);
        }
        let last = candles.last().map_or(0, |(at, _)| *at);
        let rows = candles.into_iter().map(|(at, [open, high, low, close])| {
            format!("[{at},\"{open}\",\"{high}\",\"{low}\",\"{close}\",\"{open}\",\"1.25\",7]")
        });
        let rows = rows.collect::<Vec<_>>().join(",");
        let body = format!("{{\"error\":[],\"result\":{{\"XXBTZUSD\":[{rows}],\"last\":{last}}}}}");
        Some(Reply::ok(body))
    }

    fn bitstamp(&self, asked: &Asked) -> Option<Reply> {
        let (step, limit) = (asked.number("step")?, asked.number("limit")?);
        if limit > 1000 {
            return Some(Reply::status(400));
        }
        let start = asked.number("start")?;
        let rows = self.candles(step, start, start + (limit - 1) * step).into_iter();
        let rows = rows.map(|(at, [open, high, low, close])| {
            format!(
                "{{\"timestamp\":\"{at}\",\"open\":\"{open}\",\"high\":\"{high}\",\"low\":\"{low}\",\
                 \"close\":\"{close}\",\"volume\":\"1.25\"}}"
            )
        });
        let rows = rows.collect::<Vec<_>>().join(",");
        Some(Reply::ok(format!("{{\"data\":{{\"ohlc\":[{rows}],\"pair\":\"BTC/USD\"}}}}")))
    }

    fn binance(&self, asked: &Asked) -> Option<Reply> {
        let step = match asked.query.get("interval")?.as_str() {
            "1s" => 1,
            "1m" => 60,
            "3m" => 180,
            "5m" => 300,
            "15m" => 900,
            "30m" => 1800,
            "1h" => 3600,
            "2h" => 7200,
            "4h" => 14_400,
            "6h" => 21_600,
            "8h" => 28_800,
            "12h" => 43_200,
            "1d" => 86_400,
            _ => return None,
        };
        let (first, last) = (asked.number("startTime")?, asked.number("endTime")?);
        let limit = usize::try_from(asked.number("limit")?).ok()?;
        if limit > 1000 {
            return Some(Reply::status(400));
        }
        let rows = self.candles(step, first / 1000, last / 1000).into_iter().take(limit);
        let rows = rows.map(|(at, [open, high, low, close])| {
            let closes = (at + step) * 1000 - 1;
            format!("[{at}000,\"{open}\",\"{high}\",\"{low}\",\"{close}\",\"1.25\",{closes},\"1\",1,\"1\",\"1\",\"0\"]")
        });
        Some(Reply::ok(format!("[{}]", rows.collect::<Vec<_>>().join(","))))
    }
}

/// Polymarket's markets: the JSON object for each slug.
#[derive(Clone, Default)]
pub struct Markets(pub BTreeMap<String, String>);

impl Markets {
    /// Markets resolved `Up` (true) or `Down` (false).
    #[allow(dead_code)] // not every test uses it
    pub fn resolved<'a>(outcomes: impl IntoIterator<Item = (&'a str, bool)>) -> Self {
        let market = |(slug, up): (&str, bool)| {
            let prices = if up { ["1", "0"] } else { ["0", "1"] };
            (slug.to_owned(), market(slug, true, ["Up", "Down"], prices))
        };
        Self(outcomes.into_iter().map(market).collect())
    }

    /// The requested markets that are closed, in arbitrary order, as from Gamma; or one market.
    pub fn answer(&self, asked: &Asked) -> Option<Reply> {
        if asked.path == "/events" {
            return Some(Reply::ok("[]"));
        }
        let single = asked.path.strip_prefix("/markets/").filter(|path| *path != "keyset");
        if let Some(key) = single {
            let market = self.0.get(key.strip_prefix("slug/").unwrap_or(key));
            return Some(market.map_or_else(
                || {
                    let what = if key.starts_with("slug/") { "slug" } else { "id" };
                    let body =
                        format!("{{\"type\":\"not found error\",\"error\":\"{what} not found\"}}");
                    Reply::Say(404, vec![], body.into_bytes())
                },
                |market| Reply::ok(market.clone()),
            ));
        }
        let limit = usize::try_from(asked.number("limit").unwrap_or(20)).ok()?;
        let closed_only = asked.query.get("closed").is_some_and(|closed| closed == "true");
        let known = self.0.iter().rev().filter(|(slug, _)| asked.slugs.contains(slug));
        let known = known.filter(|_| closed_only).map(|(_, market)| market.as_str());
        let markets: Vec<&str> = known.take(limit).collect();
        Some(asked.list(&markets))
    }
}

/// A market in Gamma's format, with lists inside strings.
#[allow(dead_code)] // not every test uses it
pub fn market(slug: &str, closed: bool, labels: [&str; 2], prices: [&str; 2]) -> String {
    let list = |items: [&str; 2]| format!("[\\\"{}\\\", \\\"{}\\\"]", items[0], items[1]);
    format!(
        "{{\"slug\":\"{slug}\",\"closed\":{closed},\"active\":true,\"umaResolutionStatus\":\"resolved\",\
         \"outcomes\":\"{}\",\"outcomePrices\":\"{}\",\"lastTradePrice\":0.5}}",
        list(labels),
        list(prices)
    )
}

/// A running server. It ends with the process.
pub struct Exchange {
    pub url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Exchange {
    /// Serves `tape` in the formats of all four services. Polymarket has no resolutions.
    #[allow(dead_code)] // the demo has resolutions
    pub fn of(tape: Tape) -> Self {
        Self::resolving(tape, Markets::default())
    }

    /// Serves `tape` in the formats of all four services, and `markets`.
    pub fn resolving(tape: Tape, markets: Markets) -> Self {
        Self::start(move |asked, _| match asked.service() {
            "polymarket" => markets.answer(asked).unwrap_or_else(|| Reply::status(400)),
            _ => tape.answer(asked),
        })
    }

    /// Answers each request with `answer`, which also gets the number of earlier requests.
    pub fn start(answer: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
        let url = format!("http://{}", listener.local_addr().expect("a bound socket"));
        let log = Arc::new(Mutex::new(Vec::new()));
        let asked_so_far = Arc::clone(&log);
        let answer = Arc::new(answer);
        thread::spawn(move || {
            for stream in listener.incoming().filter_map(Result::ok) {
                let (answer, asked_so_far) = (Arc::clone(&answer), Arc::clone(&asked_so_far));
                thread::spawn(move || serve(stream, &*answer, &asked_so_far));
            }
        });
        Self { url, asked: log }
    }

    /// Every request so far: the service's name and the request.
    #[allow(dead_code)] // the demo does not use it
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no thread panics holding it").clone()
    }
}

/// Answers one request.
fn serve(
    mut stream: TcpStream,
    answer: &dyn Fn(&Asked, usize) -> Reply,
    asked_so_far: &Mutex<Vec<String>>,
) {
    let Some(asked) = read(&mut stream) else { return };
    let before = {
        let mut log = asked_so_far.lock().expect("no thread panics holding it");
        log.push(format!("{} {}", asked.service(), asked.target));
        log.len() - 1
    };
    // some tests have clients that hang up in the middle, so errors are ignored
    let _ = respond(&mut stream, answer(&asked, before));
}

/// Reads one request. A connection serves only one.
fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut stream = BufReader::new(stream);
    let mut first = String::new();
    stream.read_line(&mut first).ok()?;
    let mut words = first.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut user_agent, mut takes_compressed, mut length) = (None, false, 0);
    for line in (&mut stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        match name.to_ascii_lowercase().as_str() {
            "user-agent" => user_agent = Some(value.trim().to_owned()),
            "accept-encoding" => takes_compressed = true,
            "content-length" => length = value.trim().parse().ok()?,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    let body = String::from_utf8(body).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let path = path.to_owned();
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let slugs = pairs.clone().filter(|(name, _)| *name == "slug").map(|(_, slug)| slug.to_owned());
    let slugs = slugs.collect();
    let query = pairs.map(|(name, value)| (name.to_owned(), value.replace("%3A", ":"))).collect();
    Some(Asked { method, target, body, path, query, slugs, user_agent, takes_compressed })
}

fn respond(stream: &mut TcpStream, reply: Reply) -> std::io::Result<()> {
    match reply {
        Reply::Say(status, headers, body) => {
            write!(stream, "HTTP/1.1 {status} Whatever\r\nContent-Length: {}\r\n", body.len())?;
            for (name, value) in headers {
                write!(stream, "{name}: {value}\r\n")?;
            }
            stream.write_all(b"Connection: close\r\n\r\n")?;
            stream.write_all(&body)?;
        }
        Reply::Raw(bytes) => stream.write_all(&bytes)?,
        Reply::Drip => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n[")?;
            loop {
                thread::sleep(std::time::Duration::from_millis(100));
                stream.write_all(b" ")?;
                stream.flush()?;
            }
        }
        Reply::Flood(size) => {
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n")?;
            let chunk = vec![b' '; 64 * 1024];
            for _ in 0..size / chunk.len() {
                stream.write_all(&chunk)?;
            }
        }
    }
    stream.flush()
}

//! Tables of other bots, each with the `[schema]` that a person would write for it.

use super::OPEN;

/// A bot's table with the same two trades: $5 at 0.50 on Up, which wins, and $4 at 0.40 on Down, in one
/// market.
pub struct Foreign {
    pub name: &'static str,
    pub schema: &'static str,
    pub sql: String,
    /// Selects outcome, profit and win of both trades.
    pub result: &'static str,
    pub words: [&'static str; 2],
}

const YES_NO: [&str; 2] = ["YES", "NO"];
const AT: [&str; 2] = ["2026-02-13 13:07:42", "2026-02-13 13:08:42"];

pub fn foreign() -> Vec<Foreign> {
    let slug = format!("btc-updown-15m-{OPEN}");
    let (ms, micros) = ((OPEN + 462) * 1000, (OPEN + 522) * 1_000_000);
    let [first, second] = AT;
    vec![
        Foreign {
            name: "other names and other sides",
            schema: "market = 'slug'\naction = 'side'\nsize = 'cost'\nprice = 'entry'\n\
                     timestamp = 'at'\noutcome = 'result'\nprofit = 'pnl'\nwin = 'won'\n\
                     outcome_words = ['UP', 'DOWN']",
            sql: format!(
                "CREATE TABLE trades (id INTEGER PRIMARY KEY, at TEXT, slug TEXT, side TEXT, cost REAL,
                     entry REAL, result TEXT, pnl REAL, won INTEGER);
                 INSERT INTO trades (at, slug, side, cost, entry) VALUES
                     ('{first}', '{slug}', 'Up', 5, 0.5), ('{second}', '{slug}', ' down ', 4, 0.4);"
            ),
            result: "SELECT result, pnl, won FROM trades ORDER BY id",
            words: ["UP", "DOWN"],
        },
        Foreign {
            name: "milliseconds and microseconds",
            schema: "timestamp = 'ts_ms'",
            sql: format!(
                "CREATE TABLE trades (id INTEGER PRIMARY KEY, ts_ms INTEGER, market_slug TEXT,
                     action TEXT, position_size REAL, executed_price REAL, actual_outcome TEXT,
                     profit_loss REAL, is_win INTEGER);
                 INSERT INTO trades (ts_ms, market_slug, action, position_size, executed_price) VALUES
                     ({ms}, '{slug}', 'YES', 5, 0.5), ({micros}, '{slug}', 'NO', 4, 0.4);"
            ),
            result: "SELECT actual_outcome, profit_loss, is_win FROM trades ORDER BY id",
            words: YES_NO,
        },
        Foreign {
            name: "numbers as text, in columns of text",
            schema: "size = 'stake'",
            sql: format!(
                "CREATE TABLE trades (id INTEGER PRIMARY KEY, timestamp TEXT, market_slug TEXT,
                     action TEXT, stake TEXT, executed_price TEXT, actual_outcome TEXT,
                     profit_loss REAL, is_win INTEGER);
                 INSERT INTO trades (timestamp, market_slug, action, stake, executed_price) VALUES
                     ('{first}', '{slug}', 'YES', '5.0', ' 0.5'), ('{second}', '{slug}', 'NO', '4', '.40');"
            ),
            result: "SELECT actual_outcome, profit_loss, is_win FROM trades ORDER BY id",
            words: YES_NO,
        },
        Foreign {
            name: "a price for each side, in another table",
            schema: "table = 'all bets'\naction = 'side'\nsize = 'cost'\n\
                     price = \"CASE side WHEN 'UP' THEN up_price ELSE down_price END -- of the side\"\n\
                     outcome = 'won side'\nprofit = 'pnl'\nwin = 'won'",
            sql: format!(
                "CREATE TABLE \"all bets\" (bet_id INTEGER PRIMARY KEY, timestamp TEXT, market_slug TEXT,
                     side TEXT, cost REAL, up_price REAL, down_price REAL, \"won side\" TEXT, pnl REAL,
                     won INTEGER);
                 INSERT INTO \"all bets\" (timestamp, market_slug, side, cost, up_price, down_price) VALUES
                     ('{first}', '{slug}', 'UP', 5, 0.5, 0.51), ('{second}', '{slug}', 'DOWN', 4, 0.61, 0.4);"
            ),
            result: "SELECT \"won side\", pnl, won FROM \"all bets\" ORDER BY bet_id",
            words: YES_NO,
        },
        Foreign {
            name: "a title for a slug",
            schema: "market = 'question'",
            sql: format!(
                "CREATE TABLE trades (id INTEGER PRIMARY KEY, timestamp TEXT, question TEXT, action TEXT,
                     position_size REAL, executed_price REAL, actual_outcome TEXT, profit_loss REAL,
                     is_win INTEGER);
                 INSERT INTO trades (timestamp, question, action, position_size, executed_price) VALUES
                     ('{first}', 'Bitcoin Up or Down - February 13, 8:00AM-8:15AM ET', 'YES', 5, 0.5),
                     ('{second}', 'Bitcoin Up or Down - February 13, 8:00AM-8:15AM ET', 'NO', 4, 0.4);"
            ),
            result: "SELECT actual_outcome, profit_loss, is_win FROM trades ORDER BY id",
            words: YES_NO,
        },
        Foreign {
            name: "a key of text",
            schema: "size = 'shares * executed_price'",
            sql: format!(
                "CREATE TABLE trades (uuid TEXT PRIMARY KEY, timestamp TEXT, market_slug TEXT, action TEXT,
                     shares REAL, executed_price REAL, actual_outcome TEXT, profit_loss REAL,
                     is_win INTEGER);
                 INSERT INTO trades (uuid, timestamp, market_slug, action, shares, executed_price) VALUES
                     ('a-1', '{first}', '{slug}', 'YES', 10, 0.5), ('b-2', '{second}', '{slug}', 'NO', 10, 0.4);"
            ),
            result: "SELECT actual_outcome, profit_loss, is_win FROM trades ORDER BY uuid",
            words: YES_NO,
        },
        Foreign {
            name: "no key",
            schema: "table = 'log'",
            sql: format!(
                "CREATE TABLE log (timestamp TEXT, market_slug TEXT, action TEXT, position_size REAL,
                     executed_price REAL, actual_outcome TEXT, profit_loss REAL, is_win INTEGER);
                 INSERT INTO log (timestamp, market_slug, action, position_size, executed_price) VALUES
                     ('{first}', '{slug}', 'YES', 5, 0.5), ('{second}', '{slug}', 'NO', 4, 0.4);"
            ),
            result: "SELECT actual_outcome, profit_loss, is_win FROM log ORDER BY rowid",
            words: YES_NO,
        },
        Foreign {
            name: "only some rows, with results that are never NULL",
            schema: "where = \"kind = 'bet'\"\nunsettled = \"state = 'open'\"",
            sql: format!(
                "CREATE TABLE trades (id INTEGER PRIMARY KEY, timestamp TEXT, market_slug TEXT, action TEXT,
                     position_size REAL, executed_price REAL, kind TEXT, state TEXT DEFAULT 'open',
                     actual_outcome TEXT DEFAULT 'PENDING', profit_loss REAL DEFAULT 0,
                     is_win INTEGER DEFAULT 0);
                 INSERT INTO trades (timestamp, market_slug, action, position_size, executed_price, kind)
                 VALUES ('{first}', '{slug}', 'YES', 5, 0.5, 'bet'), ('{second}', '{slug}', 'NO', 4, 0.4, 'bet'),
                        ('{second}', '{slug}', 'NO', 4, 0.4, 'hedge');"
            ),
            result: "SELECT actual_outcome, profit_loss, is_win FROM trades WHERE kind = 'bet' ORDER BY id",
            words: YES_NO,
        },
        Foreign {
            name: "a trade on paper and a trigger",
            schema: "paper = \"mode = 'paper'\"\nprofit = 'net'",
            sql: format!(
                "CREATE TABLE trades (id INTEGER PRIMARY KEY, timestamp TEXT, market_slug TEXT, action TEXT,
                     position_size REAL, executed_price REAL, mode TEXT, actual_outcome TEXT, net REAL,
                     is_win INTEGER, touched INTEGER DEFAULT 0);
                 CREATE TRIGGER touch AFTER UPDATE OF net ON trades BEGIN
                     UPDATE trades SET touched = \"touched\" + 1 WHERE id = new.id; END;
                 INSERT INTO trades (timestamp, market_slug, action, position_size, executed_price, mode)
                 VALUES ('{first}', '{slug}', 'YES', 5, 0.5, 'paper'), ('{second}', '{slug}', 'NO', 4, 0.4, 'live');"
            ),
            result: "SELECT actual_outcome, net, is_win FROM trades ORDER BY id",
            words: YES_NO,
        },
        Foreign {
            name: "words of one letter",
            schema: "outcome = 'r'\noutcome_words = [\"u'p\", 'd']",
            sql: format!(
                "CREATE TABLE trades (id INTEGER PRIMARY KEY, timestamp TEXT, market_slug TEXT, action TEXT,
                     position_size REAL, executed_price REAL, r TEXT, profit_loss REAL, is_win INTEGER);
                 INSERT INTO trades (timestamp, market_slug, action, position_size, executed_price) VALUES
                     ('{first}', '{slug}', 'YES', 5, 0.5), ('{second}', '{slug}', 'NO', 4, 0.4);"
            ),
            result: "SELECT r, profit_loss, is_win FROM trades ORDER BY id",
            words: ["u'p", "d"],
        },
        Foreign {
            name: "no rowids, a key of text",
            schema: "market = 'slug'\nsize = 'stake'",
            sql: format!(
                "CREATE TABLE trades (trade_id TEXT PRIMARY KEY COLLATE NOCASE, timestamp TEXT, slug TEXT,
                     action TEXT, stake REAL, executed_price REAL, actual_outcome TEXT, profit_loss REAL,
                     is_win INTEGER) WITHOUT ROWID;
                 INSERT INTO trades (trade_id, timestamp, slug, action, stake, executed_price) VALUES
                     ('9F-a', '{first}', '{slug}', 'YES', 5, 0.5), ('9f-B', '{second}', '{slug}', 'NO', 4, 0.4);"
            ),
            result: "SELECT actual_outcome, profit_loss, is_win FROM trades ORDER BY timestamp",
            words: YES_NO,
        },
        Foreign {
            name: "microseconds as text",
            schema: "market = 'slug'\naction = 'direction'\ntimestamp = 'created_at'",
            sql: format!(
                "CREATE TABLE trades (id INTEGER PRIMARY KEY, created_at TEXT, slug TEXT, direction TEXT,
                     position_size REAL, executed_price REAL, actual_outcome TEXT, profit_loss REAL,
                     is_win INTEGER);
                 INSERT INTO trades (created_at, slug, direction, position_size, executed_price) VALUES
                     ('{ms}123', '{slug}', 'Up', 5, 0.5), ('{micros}', '{slug}', 'Down', 4, 0.4);"
            ),
            result: "SELECT actual_outcome, profit_loss, is_win FROM trades ORDER BY id",
            words: YES_NO,
        },
        Foreign {
            name: "expressions over a column of JSON",
            schema: "market = \"json_extract(extra, '$.market.slug')\"\naction = \"extra ->> '$.side'\"\n\
                     size = \"extra ->> 'usd'\"\nprice = \"extra ->> 'price'\"\n\
                     where = \"json_valid(extra) AND extra ->> 'kind' = 'bet'\"\noutcome = 'result'",
            sql: format!(
                "CREATE TABLE trades (id INTEGER PRIMARY KEY, timestamp TEXT, extra TEXT, result TEXT,
                     profit_loss REAL, is_win INTEGER);
                 INSERT INTO trades (timestamp, extra) VALUES
                     ('{first}', json_object('kind', 'bet', 'market', json_object('slug', '{slug}'),
                         'side', 'up', 'usd', 5, 'price', 0.5)),
                     ('{second}', json_object('kind', 'bet', 'market', json_object('slug', '{slug}'),
                         'side', 'Down', 'usd', '4.0', 'price', 0.4)),
                     ('{second}', json_object('kind', 'note')), ('{second}', 'a note');"
            ),
            result: "SELECT result, profit_loss, is_win FROM trades WHERE id < 3 ORDER BY id",
            words: YES_NO,
        },
    ]
}

//! Compares two forecasts of the same trades by their Brier scores: the bot's confidence, and the price paid,
//! which is the market's forecast. `stats` has the figures of the results.
//!
//! Source: Brier 1950, the mean squared error of a forecast; 0 is perfect, and a constant 0.5 has 0.25.

use std::cmp::Ordering;

use rust_decimal::prelude::ToPrimitive;

use crate::rules::statistics::Settled;
use crate::rules::statistics::stats::Z;

/// With fewer trades than this, neither forecast is called better.
const ENOUGH: u64 = 30;

/// The Brier scores of both forecasts, over the trades that have both and a win or a loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Brier {
    /// The number of these trades.
    pub count: u64,
    /// The score of the bot's confidence.
    pub confidence: f64,
    /// The score of the price paid.
    pub price: f64,
    /// The 95 % interval of the first less the second; `None` with one trade.
    pub difference: Option<(f64, f64)>,
}

impl Brier {
    /// Over these trades; `None` if none has a confidence, a price and a win or a loss.
    pub fn of<'a>(trades: impl IntoIterator<Item = &'a Settled>) -> Option<Self> {
        let (mut count, mut confidence, mut price) = (0u64, 0.0, 0.0);
        // Welford's sums of the differences
        let (mut mean, mut squares) = (0.0, 0.0);
        for trade in trades {
            let Some((won, forecast)) = trade.counts_as().zip(trade.confidence) else { continue };
            let Some(paid) = trade.price.and_then(|price| price.to_f64()) else { continue };
            let won = f64::from(u8::from(won));
            let (bot, market) = ((f64::from(forecast) - won).powi(2), (paid - won).powi(2));
            count += 1;
            confidence += bot;
            price += market;
            let before = bot - market - mean;
            mean += before / count as f64;
            squares += before * (bot - market - mean);
        }
        if count == 0 {
            return None;
        }
        let n = count as f64;
        let half = (count > 1).then(|| Z * (squares / (n - 1.0) / n).sqrt());
        let difference = half.map(|half| (mean - half, mean + half));
        Some(Self { count, confidence: confidence / n, price: price / n, difference })
    }

    /// How the bot's error compares with the market's: `Less` if the bot forecasts better, `Equal` if the
    /// trades do not show a difference.
    pub fn error(&self) -> Ordering {
        match self.difference.filter(|_| self.count >= ENOUGH) {
            Some((_, high)) if high < 0.0 => Ordering::Less,
            Some((low, _)) if low > 0.0 => Ordering::Greater,
            _ => Ordering::Equal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::statistics::SettledAs;
    use crate::rules::statistics::tests::trade;

    /// Bets at 0.50 of which the first `won` of ten won.
    fn bets(won: u8, count: i64, confidence: fn(bool) -> f32) -> Vec<Settled> {
        let bet = |id: i64| {
            let is_win = id % 10 < i64::from(won);
            let booked = if is_win { SettledAs::Win } else { SettledAs::Loss };
            Settled { confidence: Some(confidence(is_win)), ..trade(id, "+1", booked) }
        };
        (0..count).map(bet).collect()
    }

    #[test]
    fn the_scores_are_mean_squared_errors() {
        let brier = Brier::of(&bets(5, 10, |_| 0.75)).unwrap();
        let is_near = |value: f64, wanted: f64| (value - wanted).abs() < 1e-12;
        assert!(brier.count == 10 && is_near(brier.price, 0.25));
        // half of (1 − 0.75)² and half of 0.75²
        assert!(is_near(brier.confidence, 0.3125));
        // differences of −0.1875 and 0.3125: mean 0.0625, variance 0.0625 × 10 / 9
        let (low, high) = brier.difference.unwrap();
        let half = Z * (0.0625f64 / 9.0).sqrt();
        assert!((low - (0.0625 - half)).abs() < 1e-12 && (high - (0.0625 + half)).abs() < 1e-12);
        assert_eq!(brier.error(), Ordering::Equal);
    }

    #[test]
    fn the_better_forecast_is_named_where_the_trades_show_it() {
        let knows: fn(bool) -> f32 = |won| if won { 0.75 } else { 0.25 };
        assert_eq!(Brier::of(&bets(5, 100, knows)).unwrap().error(), Ordering::Less);
        assert_eq!(Brier::of(&bets(5, 20, knows)).unwrap().error(), Ordering::Equal, "too few");
        let sure: fn(bool) -> f32 = |_| 1.0;
        assert_eq!(Brier::of(&bets(5, 1000, sure)).unwrap().error(), Ordering::Greater);
        assert_eq!(Brier::of(&bets(5, 1, sure)).unwrap().difference, None);
    }

    #[test]
    fn a_trade_without_confidence_price_or_result_is_left_out() {
        let forecast = Settled { confidence: Some(0.5), ..trade(1, "+1", SettledAs::Win) };
        assert!(Brier::of([&forecast]).is_some());
        for without in [
            Settled { confidence: None, ..forecast.clone() },
            Settled { price: None, ..forecast.clone() },
            Settled { booked: SettledAs::Split, without_result: true, ..forecast },
        ] {
            assert_eq!(Brier::of([&without]), None);
        }
    }
}

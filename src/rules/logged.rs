//! A trade's size and price by its own row: the fill that the bot verified, or what it logged, and the
//! price at which it sold. Pure functions; `fill` has the wallet's.

use rust_decimal::Decimal;

use crate::rules::pnl::{MoneySource, Paid, Sold};
use crate::rules::units::{SharePrice, Shares, Usd, named, positive};
use crate::rules::value::Cell;

/// What `position_size` holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SizeUnit {
    /// Dollars paid
    Dollars,
    /// Shares bought; they cost size × price
    Shares,
}

/// What a size column holds, by its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SizeHolds {
    /// One unit.
    One(SizeUnit),
    /// Dollars in some rows, shares in others.
    Mixed,
    /// Neither the dollars nor the shares of most rows.
    Neither,
    /// Too few rows to know it.
    Unknown,
}

/// With fewer rows than this, a size column is not known.
const ENOUGH: usize = 5;

/// A row's size beside its only fill: the size, the dollars paid, the shares bought.
pub type SizeAndFill = (Decimal, Decimal, Decimal);

/// Whether the dollars paid, and whether the shares bought, are within 5 % of the size.
fn near((size, paid, bought): SizeAndFill) -> [bool; 2] {
    let limit = size.saturating_mul(Decimal::new(5, 2));
    [paid, bought].map(|value| value.saturating_sub(size).abs() <= limit)
}

/// The unit of one row's size; `None` where the fill is near both or neither.
pub(crate) fn unit_shown(row: SizeAndFill) -> Option<SizeUnit> {
    match near(row) {
        [true, false] => Some(SizeUnit::Dollars),
        [false, true] => Some(SizeUnit::Shares),
        _ => None,
    }
}

/// What a size column holds, from rows whose only fill is known: the unit that is within 5 % of the size in at
/// least four fifths of them.
pub fn size_holds(rows: impl IntoIterator<Item = SizeAndFill>) -> SizeHolds {
    let (mut count, mut dollars, mut shares, mut either) = (0, 0, 0, 0);
    for row in rows {
        let [is_dollars, is_shares] = near(row);
        count += 1;
        dollars += usize::from(is_dollars);
        shares += usize::from(is_shares);
        either += usize::from(is_dollars || is_shares);
    }
    let most = |part: usize| part * 5 >= count * 4;
    match count {
        0..ENOUGH => SizeHolds::Unknown,
        _ if most(shares) => SizeHolds::One(SizeUnit::Shares),
        _ if most(dollars) => SizeHolds::One(SizeUnit::Dollars),
        _ if most(either) => SizeHolds::Mixed,
        _ => SizeHolds::Neither,
    }
}

impl SizeUnit {
    /// The name in settings and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dollars => "dollars",
            Self::Shares => "shares",
        }
    }
}

/// The cells of a row that state its money; `None` where the table has no such column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LoggedMoney<'a> {
    pub size: &'a Cell,
    pub price: &'a Cell,
    pub verified_price: Option<&'a Cell>,
    pub verified_amount: Option<&'a Cell>,
    pub exit_price: Option<&'a Cell>,
}

impl LoggedMoney<'_> {
    /// What the trade paid by its own row. The fill that the bot verified comes first. An exit price sells
    /// all shares.
    ///
    /// # Errors
    /// A message that names the column that cannot be used.
    pub fn paid(&self, unit: SizeUnit) -> Result<Paid, String> {
        let of_shares = |column, shares, price, source| {
            let cost = cost(column, shares, price)?;
            Ok::<_, String>(Paid { cost, price, shares, sold: None, source })
        };
        let mut paid = match verified_fill(self.verified_price, self.verified_amount)? {
            Some((price, shares)) => {
                of_shares("verified_fill_amount", shares, price, MoneySource::Row)?
            }
            None => {
                let size = self.size.number().and_then(positive).map_err(named("position_size"))?;
                let price = self.price.number().and_then(SharePrice::new);
                let price = price.map_err(named("executed_price"))?;
                match unit {
                    SizeUnit::Dollars => {
                        Paid::logged(Usd(size), price).map_err(|error| error.to_string())?
                    }
                    SizeUnit::Shares => {
                        of_shares("position_size", Shares(size), price, MoneySource::Log)?
                    }
                }
            }
        };
        if let Some(exit) = self.exit_price.filter(|cell| is_set(cell)) {
            let exit = exit.number().and_then(SharePrice::new).map_err(named("exit_price"))?;
            // a price of at most a dollar does not overflow
            let proceeds = Usd(paid.shares.0.saturating_mul(exit.0));
            paid.sold = Some(Sold { shares: paid.shares, proceeds });
            paid.source = MoneySource::Row;
        }
        Ok(paid)
    }
}

fn cost(column: &str, shares: Shares, price: SharePrice) -> Result<Usd, String> {
    let cost = shares.0.checked_mul(price.0).map(Usd);
    cost.ok_or_else(|| format!("{column}: too many shares to count exactly"))
}

/// Whether a column of a later check of the order holds a value: such columns begin as 0.
fn is_set(cell: &Cell) -> bool {
    !cell.is_empty() && cell.any_number() != Some(Decimal::ZERO)
}

/// A size with the dollars and the shares of the fill that the bot verified; `None` without one.
pub(crate) fn size_and_fill(
    size: &Cell,
    price: Option<&Cell>,
    amount: Option<&Cell>,
) -> Option<SizeAndFill> {
    let (price, shares) = verified_fill(price, amount).ok()??;
    let size = size.any_number().filter(|size| *size > Decimal::ZERO)?;
    Some((size, shares.0.checked_mul(price.0)?, shares.0))
}

/// The fill that the bot verified, from `verified_fill_price` (dollars per share) and
/// `verified_fill_amount` (shares). `None` if either column is missing, empty or 0.
///
/// # Errors
/// A message that names the column that cannot be used.
fn verified_fill(
    price: Option<&Cell>,
    amount: Option<&Cell>,
) -> Result<Option<(SharePrice, Shares)>, String> {
    let is_set = |cell: &&Cell| is_set(cell);
    let (Some(price), Some(amount)) = (price.filter(is_set), amount.filter(is_set)) else {
        return Ok(None);
    };
    let price = price.number().and_then(SharePrice::new).map_err(named("verified_fill_price"))?;
    let amount = amount.number().and_then(positive).map_err(named("verified_fill_amount"))?;
    Ok(Some((price, Shares(amount))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paid(unit: SizeUnit, exit: &Cell) -> Result<Paid, String> {
        let (size, price) = (&Cell::Integer(12), &Cell::Real(0.35));
        let (verified_price, verified_amount) = (None, None);
        let exit_price = Some(exit);
        LoggedMoney { size, price, verified_price, verified_amount, exit_price }.paid(unit)
    }

    #[test]
    fn a_size_in_shares_costs_size_times_price() {
        let paid = paid(SizeUnit::Shares, &Cell::Null).unwrap();
        let (cost, shares) = (paid.cost.0.to_string(), paid.shares.0.to_string());
        assert_eq!((cost, shares), ("4.20".into(), "12".into()));
        assert_eq!((paid.sold, paid.source), (None, MoneySource::Log));
    }

    #[test]
    fn four_fifths_of_five_rows_say_what_a_size_holds() {
        let rows = |held: &[i64]| {
            let ten = |held: &i64| (Decimal::from(*held), Decimal::from(5), Decimal::TEN);
            size_holds(held.iter().map(ten))
        };
        assert_eq!(rows(&[5, 5, 5, 5]), SizeHolds::Unknown);
        assert_eq!(rows(&[5, 5, 5, 5, 1]), SizeHolds::One(SizeUnit::Dollars));
        assert_eq!(rows(&[10, 10, 10, 10, 5]), SizeHolds::One(SizeUnit::Shares));
        assert_eq!(rows(&[10, 10, 10, 5, 5]), SizeHolds::Mixed);
        assert_eq!(rows(&[1, 2, 3, 5, 5]), SizeHolds::Neither);
    }

    #[test]
    fn an_exit_price_sells_all_shares() {
        let Paid { shares, sold, source, .. } = paid(SizeUnit::Shares, &Cell::Real(0.5)).unwrap();
        let proceeds = Usd(Decimal::new(60, 1));
        assert_eq!((sold, source), (Some(Sold { shares, proceeds }), MoneySource::Row));
        assert_eq!(paid(SizeUnit::Shares, &Cell::Integer(0)).unwrap().sold, None);
        assert!(paid(SizeUnit::Shares, &Cell::Integer(2)).unwrap_err().contains("exit_price"));
    }
}

//! Turns the parameters of a vector into a rate of a price book.

use schemas::decimal::Decimal;
use serde_json::{Map, Value, json};

use super::number_or_zero;
use crate::charge::{Charge, sum};

/// Parameters that act on an account's bill, after the price: figures before them are compared.
const AFTER_THE_PRICE: [&str; 3] = ["minimum_spend", "maximum_spend", "percentage_discount"];

/// Parameters that say how the vector is to be read, not what the price is.
const ABOUT_THE_VECTOR: [&str; 3] = ["amount_scale", "amount_rounding", "payment_term"];

/// Parameters of one vector, each of which must be used.
pub(super) struct Parameters(Map<String, Value>);

impl Parameters {
    pub(super) fn new(vector: &Value) -> Self {
        Self(vector["params"].as_object().unwrap().clone())
    }

    /// Takes a parameter out.
    fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    /// Takes a parameter that can have but one value.
    fn expect(&mut self, name: &str, value: &str) {
        let taken = self.take(name);
        assert!(taken.is_none_or(|taken| taken == value), "{name} is not {value}");
    }

    /// The charge of a price model.
    pub(super) fn charge(mut self, model: &str, decimals: u8) -> Charge {
        let rate = self.rate(model);
        self.0.retain(|name, _| {
            !AFTER_THE_PRICE.contains(&name.as_str()) && !ABOUT_THE_VECTOR.contains(&name.as_str())
        });
        assert!(self.0.is_empty(), "parameters that are not used: {:?}", self.0);
        Charge::new(rate, decimals).unwrap()
    }

    fn rate(&mut self, model: &str) -> Value {
        let mut rate = json!({ "model": model });
        let mut put = |field: &str, value: Option<Value>| {
            if let Some(value) = value {
                rate[field] = value;
            }
        };
        match model {
            "per_unit" => put("unit_price", self.take("unit_amount")),
            "flat" => put("amount", self.take("amount")),
            "package" => {
                self.expect("round", "up");
                put("package_size", self.take("package_size"));
                put("package_price", self.take("package_amount"));
            }
            "dynamic_multiplier" => {
                put("model", Some("dynamic".into()));
                put("multiplier", self.take("multiplier"));
            }
            "graduated" | "volume" => {
                self.expect("tier_upper_bound", "inclusive");
                // OpenMeter bills the first flat amount at zero usage, also where a vector does not say so.
                let at_zero = self.take("bill_first_flat_at_zero").unwrap_or(true.into());
                put("flat_amount_at_zero", Some(at_zero));
                put("tiers", self.take("tiers").map(|tiers| tiers_of(&tiers)));
            }
            other => panic!("there is no model {other}"),
        }
        put("convert", self.take("conversion").map(|conversion| conversion_of(&conversion)));
        let free = self.take("usage_discount_units").or_else(|| self.take("free_units"));
        put("free_quantity", free.filter(|free| free != "0"));
        rate
    }
}

fn tiers_of(tiers: &Value) -> Value {
    let tier = |tier: &Value| {
        json!({
            "up_to": tier["up_to"],
            "unit_price": tier["unit_amount"],
            "flat_amount": tier["flat_amount"],
        })
    };
    tiers.as_array().unwrap().iter().map(tier).collect()
}

/// A conversion; without rounding it is exact, whatever the precision says.
pub(super) fn conversion_of(conversion: &Value) -> Value {
    let mut convert = json!({ "operation": conversion["operation"], "factor": conversion["factor"] });
    let rounding = match conversion["rounding"].as_str() {
        None | Some("none") => return convert,
        Some("half_up") => "half_away_from_zero",
        Some(same) => same,
    };
    convert["rounding"] = rounding.into();
    convert["decimals"] = conversion["precision"].as_str().unwrap().parse::<u8>().unwrap().into();
    convert
}

/// Block tiers of one block size: quantities are converted to started blocks, and tiers count blocks.
///
/// The last tier of such a price may be closed; nothing says what usage beyond it costs, so it is left
/// open here.
pub(super) fn block_tiers(tiers: &Value, top_tier_prices_all: bool) -> Charge {
    let tiers = tiers.as_array().unwrap();
    let size = &tiers[0]["block_size"];
    assert!(tiers.iter().all(|tier| tier["block_size"] == *size), "blocks of several sizes");
    let mut up_to = Decimal::ZERO;
    let mut written = Vec::new();
    for tier in tiers {
        up_to = sum(up_to, number_or_zero(&tier["max_blocks"]));
        written.push(json!({ "up_to": up_to, "unit_price": tier["block_amount"] }));
    }
    written.last_mut().unwrap()["up_to"] = Value::Null;
    let rate = json!({
        "model": if top_tier_prices_all { "volume" } else { "graduated" },
        "convert": { "operation": "divide", "factor": size, "rounding": "ceiling" },
        "tiers": written,
    });
    Charge::new(rate, 0).unwrap()
}

//! Random edits of catalogs: additions, reordering, and changes of what may be rated already.

use serde_json::{Value, json};

use crate::random::Random;
use crate::random_catalog::{METERS, instant, rate, version};

fn list<'a>(documents: &'a mut Value, kind: &str) -> &'a mut Vec<Value> {
    documents[kind].as_array_mut().unwrap()
}

fn pick<'a>(random: &mut Random, list: &'a mut [Value]) -> &'a mut Value {
    let position = random.below(list.len());
    &mut list[position]
}

/// Edits the documents of a random catalog. They may compile no more.
pub(crate) fn edit(documents: &mut Value, random: &mut Random) {
    match random.below(24) {
        0 | 1 => new_version(documents, random),
        2 => {
            let version = pick(random, versions(documents));
            let rates = version["rates"].as_array_mut().unwrap();
            let position = random.below(rates.len());
            let meter = rates[position]["meter"].as_str().unwrap().to_owned();
            rates[position] = rate(random, &meter);
        }
        3 => pick(random, versions(documents))["effective_from"] = json!(instant(random, 1, 55)),
        4 => {
            let version = pick(random, versions(documents));
            let resets = version["tier_reset_on_price_change"].as_bool().unwrap();
            version["tier_reset_on_price_change"] = json!(!resets);
        }
        5 => pick(random, versions(documents))["version"] = json!(4),
        6 => {
            let rates = pick(random, versions(documents))["rates"].as_array_mut().unwrap();
            let position = random.below(rates.len());
            rates.remove(position);
        }
        7 => {
            let key = random.pick(&["timezone", "rounding"]);
            let value = if key == "timezone" { "Europe/Paris" } else { "half_even" };
            documents["legal_entities"][0][key] = json!(value);
        }
        8 => new_account(documents, random),
        9 => {
            let contract = pick(random, list(documents, "contracts"));
            contract["effective_to"] = json!(instant(random, 20, 59));
        }
        10 => {
            let contract = pick(random, list(documents, "contracts"));
            contract["lines"][0]["effective_from"] = json!(instant(random, 1, 30));
        }
        11 => {
            for contract in list(documents, "contracts") {
                contract["accounts"] = json!(["acme"]);
            }
            new_account(documents, random);
        }
        12 => {
            let day = 1 + random.below(28);
            for contract in list(documents, "contracts") {
                contract["billing_anchor"] = json!(format!("2026-01-{day:02}"));
            }
        }
        13 => {
            let contracts = list(documents, "contracts");
            contracts.truncate(1);
            if let Some(contract) = contracts[0].as_object_mut() {
                contract.remove("effective_to");
                contract.remove("effective_from");
            }
        }
        14 => pick(random, list(documents, "contracts"))["version"] = json!(7),
        15 => edit_meter(pick(random, list(documents, "meters")), random),
        16 | 17 => new_meter(documents, random),
        18 => {
            let dimensions = &mut pick(random, list(documents, "meters"))["dimensions"];
            dimensions["added"] = json!("$.tier");
        }
        19 => {
            for contract in list(documents, "contracts") {
                contract["lines"][0]["id"] = json!("other-line");
            }
        }
        20 => {
            // The same line twice in one contract version, each for a time.
            let at = instant(random, 5, 50);
            let lines = pick(random, list(documents, "contracts"))["lines"].as_array_mut().unwrap();
            let mut second = lines[0].clone();
            lines[0]["effective_to"] = json!(at);
            second["effective_from"] = json!(at);
            lines.push(second);
        }
        _ => reorder(documents, random),
    }
}

fn versions(documents: &mut Value) -> &mut [Value] {
    documents["price_books"][0]["versions"].as_array_mut().unwrap()
}

fn new_version(documents: &mut Value, random: &mut Random) {
    let from = instant(random, 30, 59);
    let mut added = version(random, 9, Some(from));
    let versions = documents["price_books"][0]["versions"].as_array_mut().unwrap();
    if random.once_in(4) {
        // The one before in other words.
        let mut same = versions[versions.len() - 1].clone();
        same["version"] = json!(9);
        same["effective_from"] = added["effective_from"].take();
        added = same;
    }
    versions.push(added);
}

fn new_account(documents: &mut Value, random: &mut Random) {
    let mut contract = documents["contracts"][0].clone();
    contract["id"] = json!("another");
    contract["accounts"] = json!([random.pick(&["globex", "initech"])]);
    contract["lines"][0]["id"] = json!("another-line");
    let place = random.below(2);
    list(documents, "contracts").insert(place, contract);
}

fn edit_meter(meter: &mut Value, random: &mut Random) {
    match random.below(6) {
        0 => meter["decimals"] = json!(3),
        1 => meter["unit"] = json!("token"),
        2 => meter["filter"] = json!({ "include": { "$.region": ["eu"] } }),
        3 => meter["description"] = json!("for people"),
        4 => meter["if_missing"] = json!("ignore"),
        _ => meter["dimensions"]["region"] = json!("$.tier"),
    }
}

fn new_meter(documents: &mut Value, random: &mut Random) {
    let meter = json!({ "id": "extra", "event_type": "used", "aggregation": "max", "value": "$.v", "decimals": 2,
        "dimensions": { "added": "$.tier", "region": "$.region" } });
    let place = random.below(METERS.len());
    list(documents, "meters").insert(place, meter);
    for version in versions(documents) {
        let added =
            json!({ "meter": "extra", "model": "per_unit", "unit_price": "2", "group_by": ["added"] });
        version["rates"].as_array_mut().unwrap().insert(0, added);
    }
}

/// The same documents in another order: everything has another position.
pub(crate) fn reorder(documents: &mut Value, random: &mut Random) {
    random.shuffle(list(documents, "meters"));
    let other = json!({ "id": "another-entity", "timezone": "Asia/Tokyo" });
    if list(documents, "legal_entities").iter().all(|entity| entity["id"] != other["id"]) {
        list(documents, "legal_entities").insert(0, other);
    }
    random.shuffle(list(documents, "contracts"));
    for contract in list(documents, "contracts") {
        random.shuffle(contract["accounts"].as_array_mut().unwrap());
    }
    for version in versions(documents) {
        random.shuffle(version["rates"].as_array_mut().unwrap());
    }
}

//! `OpenMeter`'s contract, so that its clients work unchanged: events, meters, their queries, and subjects.
//!
//! Differences, all of them stricter: an answer follows the commit; a query is exact, with all digits, or an error;
//! times keep their microseconds. Accounts are subjects; there are no customers.

pub(super) mod events;
pub(super) mod meters;
pub(super) mod query;
mod registry;
pub(super) mod subjects;

use super::api::Api;
use crate::config::Scope::{Admin, Ingest, Read};

/// Adds the routes of the contract.
pub(super) fn routes(api: Api) -> Api {
    api.post("/api/v1/events", Ingest, events::post, events::about_post)
        .get("/api/v1/events", Read, events::list, events::about_list)
        .get("/api/v1/meters", Read, meters::list, meters::about_list)
        .post("/api/v1/meters", Admin, meters::create, meters::about_create)
        .get("/api/v1/meters/{meter}", Read, meters::show, meters::about_show)
        .put("/api/v1/meters/{meter}", Admin, meters::update, meters::about_update)
        .delete("/api/v1/meters/{meter}", Admin, meters::delete, meters::about_delete)
        .get("/api/v1/meters/{meter}/query", Read, query::get, query::about_get)
        .post("/api/v1/meters/{meter}/query", Read, query::post, query::about_post)
        .get("/api/v1/meters/{meter}/subjects", Read, query::subjects, query::about_subjects)
        .get("/api/v1/meters/{meter}/group-by/{key}/values", Read, query::values, query::about_values)
        .get("/api/v1/subjects", Read, subjects::list, subjects::about_list)
        .post("/api/v1/subjects", Admin, subjects::upsert, subjects::about_upsert)
        .get("/api/v1/subjects/{subject}", Read, subjects::show, subjects::about_show)
        .delete("/api/v1/subjects/{subject}", Admin, subjects::delete, subjects::about_delete)
}

/// A stable id with the shape of a ULID for what has a name.
fn ulid_of(name: &str) -> String {
    const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let hash = blake3::hash(name.as_bytes());
    let mut bits = hash.as_bytes().first_chunk().map_or(0, |bytes| u128::from_be_bytes(*bytes)) >> 48;
    let mut digits = [b'0'; 26];
    for digit in digits.iter_mut().rev() {
        let value = usize::try_from(bits & 31).unwrap_or_default();
        *digit = DIGITS.get(value).copied().unwrap_or(b'0');
        bits >>= 5;
    }
    String::from_utf8_lossy(&digits).into_owned()
}

/// Catalogs do not say since when something is in them.
const SINCE: &str = "1970-01-01T00:00:00Z";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_stable_and_has_the_shape_of_a_ulid() {
        assert_eq!(ulid_of("tokens"), ulid_of("tokens"));
        assert_ne!(ulid_of("tokens"), ulid_of("calls"));
        for name in ["", "tokens", "größe"] {
            let id = ulid_of(name);
            assert!(id.starts_with("0000000000") && id.len() == 26, "{id}");
            assert!(id.bytes().all(|byte| b"0123456789ABCDEFGHJKMNPQRSTVWXYZ".contains(&byte)), "{id}");
        }
    }
}

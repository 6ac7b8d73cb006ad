//! What follows the question mark of a request: names that may be there several times.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use schemas::timestamp::Timestamp;

use super::problem::Problem;

/// Most values of a query string.
const VALUES_MAX: usize = 256;

/// Names with their values, in order.
#[derive(Debug, Default)]
pub(super) struct QueryString(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for QueryString {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let Query(values) = query.map_err(|error| Problem::bad_request("bad_query", error.body_text()))?;
        if values.len() > VALUES_MAX {
            let detail = format!("the query has more than {VALUES_MAX} values: ask for less at once");
            return Err(Problem::bad_request("bad_query", detail));
        }
        Ok(Self(values))
    }
}

impl QueryString {
    /// The values that were given as JSON or otherwise.
    pub(super) fn of(values: Vec<(String, String)>) -> Self {
        Self(values)
    }

    /// Refuses names that mean nothing; those that end with `[` stand for all that begin so.
    pub(super) fn check_names(&self, known: &[&str]) -> Result<(), Problem> {
        let is_known = |name: &str| {
            known.iter().any(|known| name == *known || (known.ends_with('[') && name.starts_with(known)))
        };
        match self.0.iter().find(|(name, _)| !is_known(name)) {
            None => Ok(()),
            Some((name, _)) => {
                let detail = format!("{name:?} means nothing here: there are {}", known.join(", "));
                Err(Problem::bad_request("unknown_parameter", detail))
            }
        }
    }

    /// All values of a name, also where it is written with brackets behind it.
    pub(super) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let is_it =
            move |found: &str| found.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest == "[]");
        self.0.iter().filter(move |(found, _)| is_it(found)).map(|(_, value)| value.as_str())
    }

    /// The value of a name; an empty one is none.
    pub(super) fn one<'a>(&'a self, name: &str) -> Result<Option<&'a str>, Problem> {
        let mut values = self.all(name);
        let first = values.next().filter(|value| !value.is_empty());
        if values.next().is_some() {
            return Err(Problem::bad_request("bad_query", format!("give {name} once")));
        }
        Ok(first)
    }

    /// The value of a name that has to be there.
    pub(super) fn required<'a>(&'a self, name: &str) -> Result<&'a str, Problem> {
        let missing = || Problem::bad_request("missing_parameter", format!("say which {name}: ?{name}=..."));
        self.one(name)?.ok_or_else(missing)
    }

    /// The value of a name, as a time.
    pub(super) fn time(&self, name: &str) -> Result<Option<Timestamp>, Problem> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        let time = Timestamp::parse(text.as_bytes());
        time.map(Some).map_err(|error| {
            // A plus sign that was not escaped is a space by now.
            let detail = format!("{name} is {error}: {} (a plus sign is %2B here)", error.mend());
            Problem::bad_request("bad_time", detail)
        })
    }

    /// What is in brackets behind a name, with each value.
    pub(super) fn bracketed<'a>(&'a self, name: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().filter_map(move |(found, value)| {
            let key = found.strip_prefix(name)?.strip_prefix('[')?;
            // Several values of one key may be written with brackets or a position behind it.
            let (key, _) = key.split_once(']')?;
            Some((key, value.as_str()))
        })
    }
}

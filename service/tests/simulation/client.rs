//! A client that sends until it is told that its events are counted.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::random::Random;
use crate::service_process::{Heard, Requests};
use crate::support::event;

/// Answers in a row that are no success, after which a client waits for the next process.
const REFUSALS_MAX: u32 = 200;

const PAUSE: Duration = Duration::from_micros(500);

/// What a client sends, and what it was told.
pub(crate) struct Client {
    random: Random,
    batches: Vec<Vec<Value>>,
    next: usize,
    /// How often events were called accepted, by their ids.
    pub(crate) acknowledged: BTreeMap<String, u32>,
    /// Requests without an answer, and with another than success.
    pub(crate) unheard: usize,
    pub(crate) refused: usize,
}

impl Client {
    pub(crate) fn new(number: usize, random: &mut Random) -> Self {
        let mut events = 0;
        let mut batches = Vec::new();
        for _ in 0..5 + random.below(15) {
            let mut batch = Vec::new();
            for _ in 0..=random.below(8) {
                // Some are those of another client, and some those of before.
                let owner = if random.once_in(6) { 0 } else { number };
                let position = if random.once_in(6) { random.below(events + 1) } else { events };
                events += 1;
                batch.push(sent(owner, position));
            }
            batches.push(batch);
        }
        let random = Random::new(random.next());
        Self { random, batches, next: 0, acknowledged: BTreeMap::new(), unheard: 0, refused: 0 }
    }

    /// All that it sends, by id, with the tokens.
    pub(crate) fn events(&self) -> impl Iterator<Item = (String, Option<u64>)> {
        self.batches.iter().flatten().map(|event| (id(event), event["data"]["tokens"].as_u64()))
    }

    pub(crate) const fn is_done(&self) -> bool {
        self.next == self.batches.len()
    }

    /// Sends what is left, until it is done or nobody answers.
    pub(crate) async fn run(mut self, requests: Requests) -> Result<Self, String> {
        let mut refusals = 0;
        while !self.is_done() && requests.is_running() && refusals < REFUSALS_MAX {
            let batch = self.batches[self.next].clone();
            let is_lines = self.random.once_in(4);
            // Some do not wait for their answer.
            let patience = self.random.once_in(8).then(|| Duration::from_micros(self.random.next() % 3_000));
            let heard = requests.send(request(&batch, is_lines, self.random.once_in(3)), patience).await;
            let Some(heard) = heard else {
                self.unheard += 1;
                continue;
            };
            let is_counted =
                if is_lines { self.take_lines(&batch, &heard)? } else { self.take(&batch, &heard)? };
            if is_counted {
                (self.next, refusals) = (self.next + 1, 0);
                continue;
            }
            let status = heard.status;
            if !(status == 503 || is_lines && status == 200) {
                return Err(format!("a client was told {status}: {}", heard.text));
            }
            self.refused += 1;
            refusals += 1;
            sleep(PAUSE).await;
        }
        Ok(self)
    }

    fn take(&mut self, batch: &[Value], heard: &Heard) -> Result<bool, String> {
        if heard.status != 200 {
            return Ok(false);
        }
        let receipt: Value = serde_json::from_str(&heard.text).map_err(|error| error.to_string())?;
        let verdicts = receipt["verdicts"].as_array().ok_or("no verdicts")?;
        if verdicts.len() != batch.len() {
            return Err(format!("{} verdicts on {} events", verdicts.len(), batch.len()));
        }
        for (event, verdict) in batch.iter().zip(verdicts) {
            self.note(event, verdict)?;
        }
        Ok(true)
    }

    /// Every line counts, also where the answer says at its end that it is not complete.
    fn take_lines(&mut self, batch: &[Value], heard: &Heard) -> Result<bool, String> {
        if heard.status != 200 {
            return Ok(false);
        }
        let mut is_complete = false;
        for line in heard.text.lines() {
            let line: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
            match line["index"].as_u64() {
                Some(index) => {
                    let event = usize::try_from(index).ok().and_then(|index| batch.get(index));
                    self.note(event.ok_or("a verdict on no event")?, &line["verdict"])?;
                }
                None => is_complete = line["is_complete"] == true,
            }
        }
        Ok(is_complete)
    }

    fn note(&mut self, event: &Value, verdict: &Value) -> Result<(), String> {
        let count = self.acknowledged.entry(id(event)).or_default();
        *count += u32::from(verdict == "accepted");
        if verdict == "accepted" || verdict == "duplicate" {
            return Ok(());
        }
        Err(format!("{event} is called {verdict}"))
    }
}

fn id(event: &Value) -> String {
    event["id"].as_str().unwrap_or_default().to_owned()
}

/// An event that follows from its number alone, whoever sends it.
fn sent(owner: usize, position: usize) -> Value {
    let mut random = Random::new((owner * 1_000_000 + position) as u64);
    let id = format!("{owner}-{position}");
    let mut sent = match random.below(3) {
        0 => event(&id, "llm.completion", json!({ "tokens": random.below(40) })),
        _ => event(&id, "api.call", json!({})),
    };
    sent["time"] = format!("2026-10-{:02}T{:02}:00:00Z", 1 + random.below(28), random.below(24)).into();
    sent
}

fn request(batch: &[Value], is_lines: bool, is_atomic: bool) -> Request<Body> {
    let (kind, body) = if is_lines {
        let lines: Vec<_> = batch.iter().map(Value::to_string).collect();
        ("application/x-ndjson", lines.join("\n"))
    } else {
        ("application/cloudevents-batch+json", Value::from(batch).to_string())
    };
    let path = if is_atomic && !is_lines { "/v1/events?atomic=true" } else { "/v1/events" };
    Request::post(path).header("content-type", kind).body(Body::from(body)).unwrap()
}

//! A usage event of the workload, and the line of JSON it is sent as.
//!
//! ```text
//! {"specversion":"1.0","id":"<uuid>","source":"svc-07","type":"llm.tokens","subject":"acct-000042",
//!  "time":"2026-10-03T12:34:56.789Z","datacontenttype":"application/json",
//!  "data":{"tokens":777,"user_id":"u-00000003","region":"us-east-1","model":"m-small","latency_ms":91.7}}
//! ```

use schemas::quarantine::RejectReason;

use super::prices::meter_at;

/// The month everything happens in; UTC.
pub(super) const MONTH: &str = "2026-10";

/// Days of the month.
pub(super) const MONTH_DAYS: u64 = 31;

/// Milliseconds of a day.
pub(super) const DAY_MS: u64 = 86_400_000;

const REGIONS: [&str; 6] =
    ["us-east-1", "us-west-2", "eu-west-1", "eu-central-1", "ap-south-1", "ap-southeast-2"];
const MODELS: [&str; 4] = ["m-small", "m-medium", "m-large", "m-xlarge"];

/// Number of sources.
pub(super) const SOURCES: u64 = 16;
/// Number of regions.
pub(super) const REGION_COUNT: u64 = REGIONS.len() as u64;
/// Number of models.
pub(super) const MODEL_COUNT: u64 = MODELS.len() as u64;

const BAD_TIMES: [&str; 5] =
    ["not-a-time", "2026-13-03T12:34:56.789Z", "2026-10-03T25:61:00.000Z", "", "yesterday"];
const NON_NUMERIC: [&str; 5] = ["\"abc\"", "null", "true", "\"12x\"", "\"\""];

/// What is wrong with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Defect {
    /// The line is cut short; how far is up to the number.
    MalformedJson(u64),
    /// There is no id.
    MissingId,
    /// The quantity is below zero.
    NegativeQuantity,
    /// The quantity is no number; which of several.
    NonNumericQuantity(u64),
    /// The time is none; which of several.
    BadTime(u64),
    /// No contract names the account.
    UnknownAccount,
}

impl Defect {
    /// Why the event is refused; none where it is only without a price.
    pub(super) const fn reject_reason(self) -> Option<RejectReason> {
        match self {
            Self::MalformedJson(_) => Some(RejectReason::MalformedJson),
            Self::MissingId => Some(RejectReason::MissingId),
            Self::NegativeQuantity => Some(RejectReason::NegativeQuantity),
            Self::NonNumericQuantity(_) => Some(RejectReason::NonNumericQuantity),
            Self::BadTime(_) => Some(RejectReason::BadTime),
            Self::UnknownAccount => None,
        }
    }
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) uuid: u128,
    pub(super) source: u64,
    pub(super) meter: usize,
    /// Account, as a position among the customers.
    pub(super) account: u32,
    /// When it was used, from the start of the month.
    pub(super) time_ms: u64,
    /// Counts of the meter's last decimal place.
    pub(super) quantity: u64,
    pub(super) user: u64,
    pub(super) region: u64,
    pub(super) model: u64,
    pub(super) latency_tenths: u64,
    pub(super) defect: Option<Defect>,
    /// Did it come long after it was used?
    pub(super) is_late: bool,
}

/// Accounts that no contract names are numbered from here.
pub(super) const UNKNOWN_ACCOUNTS_FROM: u32 = 900_000;

impl Event {
    /// The same identity with another quantity and latency, as a conflict has them.
    pub(super) fn changed(mut self) -> Self {
        let meter = meter_at(self.meter);
        if meter.property.is_some() {
            self.quantity += 10u64.pow(meter.decimals.into());
        }
        self.latency_tenths += 10;
        self
    }

    /// Appends the line.
    pub(super) fn write(&self, line: &mut Vec<u8>) {
        let start = line.len();
        line.extend_from_slice(b"{\"specversion\":\"1.0\",");
        if self.defect != Some(Defect::MissingId) {
            line.extend_from_slice(b"\"id\":\"");
            put_uuid(self.uuid, line);
            line.extend_from_slice(b"\",");
        }
        let meter = meter_at(self.meter);
        line.extend_from_slice(b"\"source\":\"svc-");
        put_padded(self.source, 2, line);
        line.extend_from_slice(b"\",\"type\":\"");
        line.extend_from_slice(meter.name.as_bytes());
        line.extend_from_slice(b"\",\"subject\":\"acct-");
        let account = match self.defect {
            Some(Defect::UnknownAccount) => UNKNOWN_ACCOUNTS_FROM + self.account % 100_000,
            _ => self.account,
        };
        put_padded(account.into(), 6, line);
        line.extend_from_slice(b"\",\"time\":\"");
        match self.defect {
            Some(Defect::BadTime(which)) => line.extend_from_slice(one_of(&BAD_TIMES, which).as_bytes()),
            _ => put_time(self.time_ms, line),
        }
        line.extend_from_slice(b"\",\"datacontenttype\":\"application/json\",\"data\":{");
        if let Some(property) = meter.property {
            line.push(b'"');
            line.extend_from_slice(property.as_bytes());
            line.extend_from_slice(b"\":");
            self.put_quantity(meter.decimals, line);
            line.push(b',');
        }
        line.extend_from_slice(b"\"user_id\":\"u-");
        put_padded(self.user, 8, line);
        line.extend_from_slice(b"\",\"region\":\"");
        line.extend_from_slice(one_of(&REGIONS, self.region).as_bytes());
        line.extend_from_slice(b"\",\"model\":\"");
        line.extend_from_slice(one_of(&MODELS, self.model).as_bytes());
        line.extend_from_slice(b"\",\"latency_ms\":");
        put_decimal(self.latency_tenths, 1, line);
        line.extend_from_slice(b"}}");
        if let Some(Defect::MalformedJson(cut)) = self.defect {
            // Somewhere after the beginning, and before the braces at the end.
            let length = line.len() - start;
            let kept = 20 + cut % (length as u64 - 23);
            line.truncate(start + usize::try_from(kept).unwrap_or(20));
        }
        line.push(b'\n');
    }

    fn put_quantity(&self, decimals: u8, line: &mut Vec<u8>) {
        match self.defect {
            Some(Defect::NonNumericQuantity(which)) => {
                line.extend_from_slice(one_of(&NON_NUMERIC, which).as_bytes());
                return;
            }
            Some(Defect::NegativeQuantity) => line.push(b'-'),
            _ => {}
        }
        put_decimal(self.quantity, decimals, line);
    }
}

fn one_of(texts: &[&'static str], which: u64) -> &'static str {
    usize::try_from(which).ok().and_then(|which| texts.get(which)).copied().unwrap_or_default()
}

/// Appends a number with at least this many digits, 20 at most.
fn put_padded(number: u64, width: usize, line: &mut Vec<u8>) {
    let mut digits = [b'0'; 20];
    let mut rest = number;
    let mut used = 0;
    for (position, digit) in digits.iter_mut().rev().enumerate() {
        if rest == 0 && position >= width {
            break;
        }
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        used = position + 1;
    }
    line.extend_from_slice(digits.get(digits.len() - used..).unwrap_or_default());
}

/// Appends a count of `10^-places` with all its decimal places.
fn put_decimal(count: u64, places: u8, line: &mut Vec<u8>) {
    let unit = 10u64.pow(places.into());
    put_padded(count / unit, 1, line);
    if places > 0 {
        line.push(b'.');
        put_padded(count % unit, places.into(), line);
    }
}

fn put_uuid(uuid: u128, line: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (position, byte) in uuid.to_be_bytes().into_iter().enumerate() {
        if matches!(position, 4 | 6 | 8 | 10) {
            line.push(b'-');
        }
        for half in [byte >> 4, byte & 15] {
            line.push(DIGITS.get(usize::from(half)).copied().unwrap_or(b'0'));
        }
    }
}

fn put_time(time_ms: u64, line: &mut Vec<u8>) {
    let (day, of_day) = (time_ms / DAY_MS, time_ms % DAY_MS);
    let (seconds, millis) = (of_day / 1_000, of_day % 1_000);
    line.extend_from_slice(MONTH.as_bytes());
    line.push(b'-');
    put_padded(day + 1, 2, line);
    for (separator, number) in [(b'T', seconds / 3_600), (b':', seconds / 60 % 60), (b':', seconds % 60)] {
        line.push(separator);
        put_padded(number, 2, line);
    }
    line.push(b'.');
    put_padded(millis, 3, line);
    line.push(b'Z');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(event: &Event) -> String {
        let mut line = Vec::new();
        event.write(&mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn lines() {
        let event = Event {
            uuid: 0x0123_4567_89ab_4def_8123_4567_89ab_cdef,
            source: 7,
            meter: 3,
            account: 42,
            time_ms: 2 * DAY_MS + 45_296_789,
            quantity: 1_050,
            user: 3,
            region: 0,
            model: 3,
            latency_tenths: 917,
            defect: None,
            is_late: false,
        };
        let expected = concat!(
            r#"{"specversion":"1.0","id":"01234567-89ab-4def-8123-456789abcdef","source":"svc-07","#,
            r#""type":"compute.seconds","subject":"acct-000042","time":"2026-10-03T12:34:56.789Z","#,
            r#""datacontenttype":"application/json","data":{"seconds":1.050,"user_id":"u-00000003","#,
            r#""region":"us-east-1","model":"m-xlarge","latency_ms":91.7}}"#,
            "\n"
        );
        assert_eq!(text(&event), expected);
        // defect, what the line has instead of what
        let cases = [
            (Defect::MissingId, r#""id":"01234567-89ab-4def-8123-456789abcdef","#, ""),
            (Defect::NegativeQuantity, "1.050", "-1.050"),
            (Defect::NonNumericQuantity(3), "1.050", "\"12x\""),
            (Defect::BadTime(3), "2026-10-03T12:34:56.789Z", ""),
            (Defect::UnknownAccount, "acct-000042", "acct-900042"),
        ];
        for (defect, from, to) in cases {
            let event = Event { defect: Some(defect), ..event.clone() };
            assert_eq!(text(&event), expected.replace(from, to), "{defect:?}");
        }
        assert_eq!(
            text(&event.clone().changed()),
            expected.replace("1.050", "2.050").replace("91.7", "92.7")
        );
        for cut in 0..1_000 {
            let line = text(&Event { defect: Some(Defect::MalformedJson(cut)), ..event.clone() });
            assert!(expected.starts_with(line.trim_end()) && line.len() < expected.len() - 2, "{line}");
        }
    }
}

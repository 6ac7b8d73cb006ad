//! Reads what meters count from a parsed event: quantities, prices and dimensions.

use schemas::decimal::{Decimal, DecimalError, power_of_ten};
use schemas::id::ID_BYTES_MAX;
use schemas::money::AMOUNT_SCALE;
use schemas::quarantine::RejectReason;

use super::{DecoderState, number_fault};
use crate::event_batch::{EventBatch, NO_VALUE};
use crate::event_parser::{Token, TokenKind};
use crate::interner::Interned;
use crate::json::{Fault, canonical_number};
use crate::metering::{EventPricePlan, EventTypePlan, MeterPlan, MeterValue, MeteringPlan, PropertyTest};

impl DecoderState {
    /// Adds the usages of the event under the meters of its type.
    #[inline]
    pub(super) fn meter(
        &mut self,
        plan: &MeteringPlan,
        bytes: &[u8],
        type_plan: &EventTypePlan,
        batch: &mut EventBatch,
    ) -> Result<(), Box<Fault>> {
        for meter in &type_plan.meters {
            if !self.passes(bytes, meter) {
                continue;
            }
            let Some(measure) = self.measure(plan, bytes, meter)? else { continue };
            let price = meter.event_price.map(|price| self.event_price(plan, bytes, price)).transpose()?;
            for (dimension, slot) in meter.dimensions.iter().enumerate() {
                let number = match slot {
                    Some(slot) => self.dimension(plan, bytes, dimension, *slot, batch)?,
                    None => NO_VALUE,
                };
                if let Some(column) = batch.usages.dimensions.get_mut(dimension) {
                    column.push(number);
                }
            }
            batch.usages.meter.push(meter.meter);
            batch.usages.measure.push(measure);
            batch.usages.event_price.push(price.unwrap_or(0));
        }
        Ok(())
    }

    #[inline]
    fn passes(&self, bytes: &[u8], meter: &MeterPlan) -> bool {
        let holds = |test: &PropertyTest| {
            let token = self.parser.event.slot(test.slot);
            let text = self.parser.event.bytes(bytes, token);
            match token.kind {
                TokenKind::Absent | TokenKind::Null | TokenKind::Container => false,
                TokenKind::Number => test.holds_for_number(text),
                TokenKind::Text | TokenKind::UnescapedText | TokenKind::Bool => {
                    test.values.iter().any(|value| value == text)
                }
            }
        };
        meter.include.iter().all(holds) && !meter.exclude.iter().any(|entry| entry.iter().all(holds))
    }

    /// The value a meter reads; `None` where the event is no usage of it.
    #[inline]
    fn measure(
        &self,
        plan: &MeteringPlan,
        bytes: &[u8],
        meter: &MeterPlan,
    ) -> Result<Option<i128>, Box<Fault>> {
        let (MeterValue::Number { slot, .. } | MeterValue::Distinct { slot }) = meter.value else {
            return Ok(Some(1));
        };
        let token = self.parser.event.slot(slot);
        if matches!(token.kind, TokenKind::Absent | TokenKind::Null) && meter.ignore_if_missing {
            return Ok(None);
        }
        match meter.value {
            MeterValue::Number { decimals, allow_negative, limit, .. } => {
                let quantity = self.quantity(bytes, token, decimals, allow_negative, limit);
                quantity.map_err(|reason| self.bad_quantity(&plan.path(slot), bytes, token, decimals, reason))
            }
            _ => self.distinct_value(bytes, token).ok_or_else(|| {
                let detail = format!("{} is {}", plan.path(slot), self.show(bytes, token));
                Fault::of(RejectReason::MissingQuantity, detail)
            }),
        }
        .map(Some)
    }

    /// The hash that stands for a value where distinct ones are counted.
    #[inline(never)]
    fn distinct_value(&self, bytes: &[u8], token: Token) -> Option<i128> {
        let text = self.parser.event.bytes(bytes, token);
        let identity = match token.kind {
            TokenKind::Absent | TokenKind::Null | TokenKind::Container => return None,
            TokenKind::Number => self.value_key.text(&canonical_number(text)),
            TokenKind::Bool | TokenKind::Text | TokenKind::UnescapedText => self.value_key.text(text),
        };
        Some(identity.cast_signed())
    }

    /// A quantity as a count of `10^-decimals`.
    #[inline]
    fn quantity(
        &self,
        bytes: &[u8],
        token: Token,
        decimals: u8,
        allow_negative: bool,
        limit: i128,
    ) -> Result<i128, RejectReason> {
        match token.kind {
            TokenKind::Number | TokenKind::Text | TokenKind::UnescapedText => {}
            TokenKind::Absent => return Err(RejectReason::MissingQuantity),
            TokenKind::Bool | TokenKind::Null | TokenKind::Container => {
                return Err(RejectReason::NonNumericQuantity);
            }
        }
        match Decimal::parse_scaled(self.parser.event.bytes(bytes, token), decimals) {
            Ok(value) if value < 0 && !allow_negative => Err(RejectReason::NegativeQuantity),
            Ok(value) if value.abs() < limit => Ok(value),
            Ok(_) | Err(DecimalError::OutOfRange) => Err(RejectReason::QuantityOutOfRange),
            Err(DecimalError::NotANumber) => Err(RejectReason::NonNumericQuantity),
            Err(DecimalError::TooLong) => Err(RejectReason::NumberTooLong),
            Err(DecimalError::TooPrecise(_)) => Err(RejectReason::QuantityTooPrecise),
        }
    }

    #[cold]
    fn bad_quantity(
        &self,
        path: &str,
        bytes: &[u8],
        token: Token,
        decimals: u8,
        reason: RejectReason,
    ) -> Box<Fault> {
        let shown = self.show(bytes, token);
        let detail = match reason {
            RejectReason::NegativeQuantity => format!("{path} is {shown}, below zero"),
            RejectReason::QuantityOutOfRange => {
                format!("{path} is {shown}, with more than 20 digits before the point")
            }
            RejectReason::QuantityTooPrecise => {
                format!("{path} is {shown}, finer than the {decimals} decimal places of its meter")
            }
            RejectReason::NumberTooLong => format!("{path} has too many digits"),
            RejectReason::MissingQuantity => format!("the event has no {path}"),
            _ => format!("{path} is {shown}, not a number"),
        };
        Fault::of(reason, detail)
    }

    /// The price or amount in the event, as a count of `10^-18`.
    #[inline(never)]
    fn event_price(
        &self,
        plan: &MeteringPlan,
        bytes: &[u8],
        price: EventPricePlan,
    ) -> Result<i128, Box<Fault>> {
        let token = self.parser.event.slot(price.slot);
        let is_number = matches!(token.kind, TokenKind::Number | TokenKind::Text | TokenKind::UnescapedText);
        let number = if is_number {
            Decimal::parse_scaled(self.parser.event.bytes(bytes, token), price.decimals)
        } else {
            Err(DecimalError::NotANumber)
        };
        let factor = power_of_ten(AMOUNT_SCALE.saturating_sub(price.decimals)).unwrap_or(1);
        let units = number.and_then(|units| units.checked_mul(factor).ok_or(DecimalError::OutOfRange));
        units.map_err(|error| {
            let path = plan.path(price.slot);
            let detail = match token.kind {
                TokenKind::Absent => format!("the event has no {path}"),
                _ => format!("{path} is {}, {}", self.show(bytes, token), number_fault(error)),
            };
            Fault::of(RejectReason::InvalidEventPrice, detail)
        })
    }

    /// The value of a dimension, as a number.
    #[inline]
    fn dimension(
        &mut self,
        plan: &MeteringPlan,
        bytes: &[u8],
        dimension: usize,
        slot: u16,
        batch: &mut EventBatch,
    ) -> Result<u32, Box<Fault>> {
        let token = self.parser.event.slot(slot);
        let (start, end) = (token.start as usize, token.end as usize);
        let Some(interner) = self.dimensions.get_mut(dimension) else { return Ok(NO_VALUE) };
        if token.kind == TokenKind::Text
            && end - start <= ID_BYTES_MAX
            && let Some(number) = interner.find_at(bytes, start, end)
        {
            return Ok(number);
        }
        self.other_dimension(plan, bytes, dimension, slot, batch)
    }

    /// The value of a dimension that is no text, or new.
    #[cold]
    fn other_dimension(
        &mut self,
        plan: &MeteringPlan,
        bytes: &[u8],
        dimension: usize,
        slot: u16,
        batch: &mut EventBatch,
    ) -> Result<u32, Box<Fault>> {
        let token = self.parser.event.slot(slot);
        let text = self.parser.event.bytes(bytes, token);
        let text = match token.kind {
            TokenKind::Absent | TokenKind::Null => return Ok(NO_VALUE),
            TokenKind::Text | TokenKind::UnescapedText | TokenKind::Bool if text.len() <= ID_BYTES_MAX => {
                text.to_vec()
            }
            TokenKind::Number => canonical_number(text),
            _ => {
                let path = plan.path(slot);
                let detail = match token.kind {
                    TokenKind::Container => format!("{path} is {}", self.show(bytes, token)),
                    _ => format!("{path} has {} bytes", text.len()),
                };
                return Err(Fault::of(RejectReason::InvalidDimension, detail));
            }
        };
        let Some(texts) = self.dimensions.get_mut(dimension) else { return Ok(NO_VALUE) };
        let interned = texts.intern(&text);
        if let Interned::New(_) = interned
            && let Some(texts) = batch.new_texts.dimensions.get_mut(dimension)
        {
            texts.push(String::from_utf8_lossy(&text).into());
        }
        Ok(interned.number())
    }
}

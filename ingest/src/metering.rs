//! The meters of a catalog, compiled into what the decoder reads from an event of each type.

use schemas::id::DimensionName;
use schemas::meter::{Aggregation, IfMissing, Meter, PropertyPath};
use schemas::quantity::EVENT_QUANTITY_INTEGER_DIGITS_MAX;

use crate::json::{canonical_number, number};

/// Position of a property path among all paths the meters read.
pub(crate) type Slot = u16;

/// What the decoder extracts, by event type.
#[derive(Debug)]
pub struct MeteringPlan {
    dimensions: Vec<DimensionName>,
    event_types: Vec<EventTypePlan>,
    paths: Vec<PropertyPath>,
    tree: Vec<PathNode>,
}

/// The meters that count one event type.
#[derive(Debug)]
pub(crate) struct EventTypePlan {
    pub(crate) name: String,
    pub(crate) meters: Vec<MeterPlan>,
}

/// What one meter reads from an event.
#[derive(Debug)]
pub(crate) struct MeterPlan {
    /// Position of the meter in the catalog.
    pub(crate) meter: u16,
    pub(crate) value: MeterValue,
    pub(crate) ignore_if_missing: bool,
    pub(crate) include: Vec<PropertyTest>,
    pub(crate) exclude: Vec<Vec<PropertyTest>>,
    /// For every dimension of the plan, the slot this meter fills it from.
    pub(crate) dimensions: Vec<Option<Slot>>,
    pub(crate) event_price: Option<EventPricePlan>,
}

/// What a meter aggregates.
#[derive(Clone, Copy, Debug)]
pub(crate) enum MeterValue {
    /// Every event counts one.
    One,
    /// A number, as a count of `10^-decimals`.
    Number { slot: Slot, decimals: u8, allow_negative: bool, limit: i128 },
    /// Any scalar; distinct ones are counted.
    Distinct { slot: Slot },
}

/// A property and the texts it may have.
#[derive(Debug)]
pub(crate) struct PropertyTest {
    pub(crate) slot: Slot,
    pub(crate) values: Vec<Vec<u8>>,
    /// Those of the values that are numbers, in canonical form.
    numbers: Vec<Vec<u8>>,
}

/// The price property of an event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventPricePlan {
    pub(crate) slot: Slot,
    pub(crate) decimals: u8,
}

/// A member name on the way to one or more paths; node 0 is the data object itself.
#[derive(Debug, Default)]
struct PathNode {
    children: Vec<(String, usize)>,
    slot: Option<Slot>,
}

impl PropertyTest {
    fn new(slot: Slot, values: &[String]) -> Self {
        let values: Vec<Vec<u8>> = values.iter().map(|value| value.clone().into_bytes()).collect();
        let is_number = |value: &&Vec<u8>| number(value, 0).is_ok_and(|number| number.end == value.len());
        let numbers = values.iter().filter(is_number).map(|value| canonical_number(value)).collect();
        Self { slot, values, numbers }
    }

    /// Is a number, which JSON can write in many ways, one of the values?
    pub(crate) fn holds_for_number(&self, text: &[u8]) -> bool {
        !self.numbers.is_empty() && self.numbers.contains(&canonical_number(text))
    }
}

impl MeteringPlan {
    /// Compiles meters, in the order of the catalog.
    #[must_use]
    pub fn new(meters: &[Meter]) -> Self {
        let mut dimensions: Vec<DimensionName> =
            meters.iter().flat_map(|meter| meter.dimensions.keys().cloned()).collect();
        dimensions.sort();
        dimensions.dedup();
        let mut plan =
            Self { dimensions, event_types: Vec::new(), paths: Vec::new(), tree: vec![PathNode::default()] };
        for (position, meter) in (0u16..).zip(meters) {
            let meter_plan = plan.compile(position, meter);
            match plan.event_types.iter_mut().find(|event_type| event_type.name == meter.event_type) {
                Some(event_type) => event_type.meters.push(meter_plan),
                None => plan
                    .event_types
                    .push(EventTypePlan { name: meter.event_type.clone(), meters: vec![meter_plan] }),
            }
        }
        plan
    }

    /// Names of all dimensions of all meters, sorted.
    #[must_use]
    pub fn dimensions(&self) -> &[DimensionName] {
        &self.dimensions
    }

    pub(crate) fn event_types(&self) -> &[EventTypePlan] {
        &self.event_types
    }

    pub(crate) const fn slots(&self) -> usize {
        self.paths.len()
    }

    /// The path a slot holds, for messages.
    pub(crate) fn path(&self, slot: Slot) -> String {
        self.paths.get(usize::from(slot)).map_or_else(String::new, ToString::to_string)
    }

    /// The node of a member of the object at a node of the path tree.
    pub(crate) fn member(&self, node: usize, name: &[u8]) -> Option<usize> {
        let children = &self.tree.get(node)?.children;
        children.iter().find(|(child, _)| child.as_bytes() == name).map(|(_, node)| *node)
    }

    /// The slot filled by the value at a node.
    pub(crate) fn slot_at(&self, node: usize) -> Option<Slot> {
        self.tree.get(node)?.slot
    }

    fn compile(&mut self, position: u16, meter: &Meter) -> MeterPlan {
        let value = match (meter.aggregation, &meter.value) {
            (Aggregation::Count, _) | (_, None) => MeterValue::One,
            (Aggregation::Unique, Some(path)) => MeterValue::Distinct { slot: self.slot(path) },
            (_, Some(path)) => MeterValue::Number {
                slot: self.slot(path),
                decimals: meter.decimals,
                allow_negative: meter.allow_negative,
                limit: 10i128
                    .checked_pow(u32::from(EVENT_QUANTITY_INTEGER_DIGITS_MAX + meter.decimals))
                    .unwrap_or(i128::MAX),
            },
        };
        let mut tests = |entry: &std::collections::BTreeMap<PropertyPath, Vec<String>>| {
            entry.iter().map(|(path, values)| PropertyTest::new(self.slot(path), values)).collect::<Vec<_>>()
        };
        let include = tests(&meter.filter.include);
        let exclude = meter.filter.exclude.iter().map(&mut tests).collect();
        let dimensions = self.dimensions.clone();
        let dimensions =
            dimensions.iter().map(|name| meter.dimensions.get(name).map(|path| self.slot(path))).collect();
        MeterPlan {
            meter: position,
            value,
            ignore_if_missing: meter.if_missing == IfMissing::Ignore,
            include,
            exclude,
            dimensions,
            event_price: meter
                .event_price
                .as_ref()
                .map(|price| EventPricePlan { slot: self.slot(&price.property), decimals: price.decimals }),
        }
    }

    fn slot(&mut self, path: &PropertyPath) -> Slot {
        let mut node = 0;
        for segment in path.segments() {
            if let Some(child) = self.member(node, segment.as_bytes()) {
                node = child;
                continue;
            }
            let child = self.tree.len();
            self.tree.push(PathNode::default());
            if let Some(parent) = self.tree.get_mut(node) {
                parent.children.push((segment.clone(), child));
            }
            node = child;
        }
        let next = Slot::try_from(self.paths.len()).unwrap_or(Slot::MAX);
        let Some(node) = self.tree.get_mut(node) else { return next };
        *node.slot.get_or_insert_with(|| {
            self.paths.push(path.clone());
            next
        })
    }
}

//! The tables and views that queries see.

/// A view, and what it shows.
pub struct View {
    /// Its name.
    pub name: &'static str,
    /// What a row is, for people.
    pub shows: &'static str,
    /// The query it stands for.
    pub(super) sql: &'static str,
}

/// All views: the tables of a run first, then what an analyst asks first.
pub const VIEWS: [View; 15] = [
    View {
        name: "rated_usage",
        shows: "one row per event and meter, with its exact amount",
        sql: "SELECT source, coalesce(event_id, uuid_text(event_uuid)) AS event_id,
                     * EXCLUDE (source, event_id, event_uuid)
              FROM files.rated_usage",
    },
    View {
        name: "accruals",
        shows: "one row per contract line, meter, day and revision, ready to post; deltas add up",
        sql: "SELECT * REPLACE (uuid_text(accrual_id) AS accrual_id) FROM files.accruals",
    },
    View {
        name: "quarantine",
        shows: "every event that was refused, is a conflict, or has no price, with its bytes as text",
        sql: "SELECT * EXCLUDE (bytes), record_text(bytes) AS record FROM files.quarantine",
    },
    View {
        name: "settled",
        shows: "quarantined records that are settled, and how",
        sql: "SELECT * FROM files.settled",
    },
    View {
        name: "open_quarantine",
        shows: "quarantined records that are not settled: what needs care",
        sql: "SELECT * EXCLUDE (bytes), record_text(bytes) AS record FROM files.quarantine
              WHERE quarantine_id NOT IN (SELECT quarantine_id FROM files.settled)",
    },
    View {
        name: "epochs",
        shows: "one row per commit: when, why, what it counted and rated",
        sql: "SELECT * FROM files.epochs",
    },
    View {
        name: "control_totals",
        shows: "where the events of each source, type and month went",
        sql: "SELECT * FROM files.control_totals",
    },
    View {
        name: "accruals_current",
        shows: "the latest revision of each accrual: what stands now",
        // Revisions have no gaps: each but the last has one that is greater by 1.
        sql: "SELECT * FROM accruals
              LEFT ANTI JOIN (SELECT accrual_key AS later_key, revision - 1 AS replaced
                              FROM files.accruals WHERE revision > 1)
              ON accrual_key = later_key AND revision = replaced",
    },
    View {
        name: "revenue",
        shows: "quantity and amount by month, legal entity, currency and meter",
        sql: "SELECT service_accounting_period AS month, legal_entity_id, currency, meter_id,
                     sum(delta_event_count) AS events, sum(delta_metered_quantity) AS quantity,
                     sum(delta_amount_exact) AS amount_exact, sum(delta_amount) AS amount_to_post
              FROM files.accruals
              GROUP BY service_accounting_period, legal_entity_id, currency, meter_id",
    },
    View {
        name: "daily_revenue",
        shows: "amounts by day, legal entity and currency",
        sql: "SELECT service_day, legal_entity_id, currency, sum(delta_event_count) AS events,
                     sum(delta_amount_exact) AS amount_exact, sum(delta_amount) AS amount_to_post
              FROM files.accruals
              GROUP BY service_day, legal_entity_id, currency",
    },
    View {
        name: "account_revenue",
        shows: "events and exact amount by account, contract line, meter and billing period",
        sql: "SELECT account_id, contract_line_id, meter_id, billing_period_start, currency,
                     count(*) AS events, sum(amount) AS amount_exact
              FROM files.rated_usage
              GROUP BY account_id, contract_line_id, meter_id, billing_period_start, currency",
    },
    View {
        name: "tier_revenue",
        shows: "quantity and amount by price book, meter and tier",
        sql: "SELECT price_book_id, price_book_version, meter_id, price_model, currency,
                     part.tier AS tier, part.lo AS lo, part.hi AS hi, part.unit_price AS unit_price,
                     sum(part.qty) AS quantity, sum(part.amount) AS amount_exact
              FROM (SELECT price_book_id, price_book_version, meter_id, price_model, currency,
                           unnest(tier_breakdown) AS part
                    FROM accruals_current)
              GROUP BY price_book_id, price_book_version, meter_id, price_model, currency,
                       part.tier, part.lo, part.hi, part.unit_price",
    },
    View {
        name: "quarantine_reasons",
        shows: "open records of quarantine by reason, with one of them as an example",
        sql: "SELECT class, reason, count(*) AS rows, min(detail) AS example
              FROM open_quarantine
              GROUP BY class, reason",
    },
    View {
        name: "conservation",
        shows: "events by what became of them; missing is 0, or something is wrong",
        sql: "SELECT source, event_type, month, sum(received) AS received, sum(rated) AS rated,
                     sum(unrated) AS unrated, sum(duplicate) AS duplicate, sum(conflict) AS conflict,
                     sum(rejected) AS rejected, sum(voided) AS voided,
                     sum(received - rated - unrated - duplicate - conflict - rejected - voided) AS missing
              FROM files.control_totals
              GROUP BY source, event_type, month",
    },
    View {
        name: "reconciliation",
        shows: "exact amounts rated and accrued; missing is 0, or something is wrong",
        sql: "SELECT contract_line_id, meter_id, currency,
                     sum(rated) AS rated, sum(accrued) AS accrued, sum(rated) - sum(accrued) AS missing
              FROM (SELECT contract_line_id, meter_id, currency, amount AS rated,
                           arrow_cast(0, 'Decimal128(38, 18)') AS accrued
                    FROM files.rated_usage
                    UNION ALL
                    SELECT contract_line_id, meter_id, currency, arrow_cast(0, 'Decimal128(38, 18)'),
                           delta_amount_exact
                    FROM files.accruals)
              GROUP BY contract_line_id, meter_id, currency",
    },
];

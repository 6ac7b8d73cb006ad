//! SQL of clients: exact, read-only, and bounded; and where a single event went.

use serde_json::json;

use crate::command_line::{good, place};
use crate::http_client::{Answer, Served};
use crate::support::event;

fn ask(served: &Served, sql: &str, accept: &str) -> Answer {
    let headers = format!("Content-Type: application/sql\r\nAccept: {accept}\r\n");
    served.request("POST", "/v1/query", &headers, sql.as_bytes()).unwrap()
}

fn post(served: &Served, events: &[String]) {
    let kind = "application/cloudevents-batch+json";
    assert_eq!(served.post("/v1/events", kind, format!("[{}]", events.join(","))).status, 200);
}

#[test]
fn a_query_sees_the_last_commit_as_json_csv_and_arrow() {
    let place = place();
    let served = Served::start(&place, &[]);
    let sql =
        "SELECT account_id, sum(quantity) AS quantity, sum(amount) AS amount FROM rated_usage GROUP BY 1";
    assert_eq!(ask(&served, sql, "application/json").json()["rows"], json!([]));
    post(&served, &[good("one"), good("two")]);
    let answer = ask(&served, sql, "*/*");
    let rows = answer.json();
    assert_eq!(answer.status, 200, "{rows}");
    assert_eq!(rows["epoch"], 1);
    // Exact, and as text: a number of JSON is a float to many who read it.
    let quantity = rows["rows"][0]["quantity"].as_str().unwrap();
    assert_eq!(quantity.trim_end_matches('0').trim_end_matches('.'), "10");
    assert_eq!(rows["columns"][0]["name"], "account_id");
    let csv = ask(&served, sql, "text/csv");
    assert!(String::from_utf8(csv.body).unwrap().starts_with("account_id,quantity,amount\na,10"));
    let arrow = ask(&served, sql, "application/vnd.apache.arrow.stream");
    let reader = datafusion::arrow::ipc::reader::StreamReader::try_new(&arrow.body[..], None).unwrap();
    assert_eq!(reader.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 1);
    assert_eq!(ask(&served, sql, "image/png").status, 406);
    assert_eq!(served.end(), 0);
}

#[test]
fn f76_queries_neither_change_nor_read_anything_else_nor_take_more_than_their_share() {
    let place = place();
    place.write("secret.csv", "secret\n1\n");
    place.write("secret.parquet", "PAR1");
    let settings = [
        ("TALLYBOOK_QUERY__SECONDS_MAX", "2"),
        ("TALLYBOOK_QUERY__ROWS_MAX", "1000"),
        ("TALLYBOOK_QUERY__MEMORY_MIB", "64"),
    ];
    let served = Served::start(&place, &settings);
    post(&served, &[good("one")]);
    let secret = place.path("secret.csv").display().to_string();
    let refused = [
        "DROP TABLE rated_usage".to_owned(),
        "DROP VIEW rated_usage".to_owned(),
        "CREATE TABLE t AS SELECT 1".to_owned(),
        "CREATE VIEW rated_usage AS SELECT 1".to_owned(),
        format!("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '{secret}'"),
        "COPY (SELECT 1) TO 'stolen.csv'".to_owned(),
        format!("COPY (SELECT 1) TO '{secret}'"),
        "INSERT INTO rated_usage SELECT * FROM rated_usage".to_owned(),
        "DELETE FROM rated_usage".to_owned(),
        "SET datafusion.execution.batch_size = 1".to_owned(),
        "SELECT 1; SELECT 2".to_owned(),
        "BEGIN".to_owned(),
        "EXPLAIN ANALYZE COPY (SELECT 1) TO 'stolen.csv'".to_owned(),
        format!("SELECT * FROM '{secret}'"),
        format!("SELECT * FROM 'file://{secret}'"),
        "SELECT * FROM 's3://bucket/key.parquet'".to_owned(),
        format!("SELECT * FROM read_csv('{secret}')"),
        "SELECT no_such_column FROM rated_usage".to_owned(),
        "SELECT".to_owned(),
        String::new(),
        "\u{0}".to_owned(),
    ];
    for sql in refused {
        let answer = ask(&served, &sql, "application/json");
        assert_eq!(
            (answer.status, &answer.json()["code"]),
            (400, &json!("bad_query")),
            "{sql}: {}",
            answer.json()
        );
    }
    assert!(!place.path("stolen.csv").exists() && !place.path("data/stolen.csv").exists());
    let huge = "SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b WHERE a.value + b.value = 7";
    let rows = "SELECT * FROM generate_series(1, 2000)";
    let memory = "SELECT array_agg(repeat('x', 1000) || value) FROM generate_series(1, 10000000)";
    let recursion = "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT max(n) FROM r";
    for sql in [huge, rows, memory, recursion] {
        let answer = ask(&served, sql, "application/json");
        assert!([400, 422].contains(&answer.status), "{sql}: {} {}", answer.status, answer.json());
        eprintln!("{sql}: {}", answer.json()["detail"]);
    }
    // Deep and long texts.
    let long = format!("SELECT 1{}", " + 1".repeat(16_000));
    let deep = format!("SELECT {}1{}", "(".repeat(20_000), ")".repeat(20_000));
    for sql in [long, deep, "SELECT 1 -- ".to_owned() + &"x".repeat(1 << 20)] {
        let status = ask(&served, &sql, "application/json").status;
        assert!([200, 400, 413, 422].contains(&status), "{status}: {}", &sql[..20]);
    }
    // It goes on.
    assert_eq!(
        ask(&served, "SELECT count(*) AS n FROM rated_usage", "application/json").json()["rows"][0]["n"],
        1
    );
    post(&served, &[good("two")]);
    assert_eq!(served.end(), 0);
}

#[test]
fn an_event_is_followed_to_where_it_went() {
    let place = place();
    let served = Served::start(&place, &[]);
    let other = good("one").replace('5', "6");
    let unrated = event("free", "tokens", "nobody", "2026-10-01T00:00:00Z", r#"{"tokens":1}"#);
    let odd = good("a/b 'c'").replace("\"source\":\"test\"", "\"source\":\"https://x/y?z\"");
    post(&served, &[good("one"), other, unrated, odd]);
    let followed = served.get("/v1/events/test/one").json();
    assert_eq!(followed["verdict"], "accepted", "{followed}");
    assert_eq!(followed["rated"][0]["account_id"], "a");
    assert!(followed["rated"][0]["amount"].is_string());
    assert_eq!(followed["quarantine"][0]["class"], "conflict");
    let followed = served.get("/v1/events/test/free").json();
    assert_eq!((&followed["verdict"], &followed["rated"]), (&json!("accepted"), &json!([])));
    assert_eq!(
        (&followed["quarantine"][0]["reason"], &followed["quarantine"][0]["is_settled"]),
        (&json!("unknown_account"), &json!(false))
    );
    let followed = served.get("/v1/events/https%3A%2F%2Fx%2Fy%3Fz/a%2Fb%20%27c%27").json();
    assert_eq!(followed["rated"].as_array().map(Vec::len), Some(1), "{followed}");
    let unknown = served.get("/v1/events/test/none%27%20OR%201=1%20--");
    assert_eq!((unknown.status, &unknown.json()["code"]), (404, &json!("unknown_event")));
    assert_eq!(served.end(), 0);
}

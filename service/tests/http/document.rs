//! The document of the API says what the routes are, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Server, request};

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

async fn document() -> (tempfile::TempDir, Server, Value) {
    let place = tempfile::tempdir().unwrap();
    let server = Server::start(place.path()).await;
    let answer = server.get("/openapi.json").await;
    assert_eq!(answer.status, 200);
    (place, server, answer.json())
}

fn operations(document: &Value) -> Vec<(&str, String, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let of_path = |(path, methods)| {
        let methods: &serde_json::Map<_, _> = Value::as_object(methods).unwrap();
        methods
            .iter()
            .map(move |(method, operation)| (String::as_str(path), method.to_uppercase(), operation))
    };
    paths.flat_map(of_path).collect()
}

/// The files that routes and problems are in.
fn sources(directory: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
        }
    }
    found
}

fn own_sources() -> Vec<(String, String)> {
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http"))
}

#[tokio::test]
async fn every_route_is_in_the_document_and_the_reverse() {
    let (_place, server, document) = document().await;
    let known: BTreeSet<(&str, String)> =
        operations(&document).into_iter().map(|(path, method, _)| (path, method)).collect();
    for path in document["paths"].as_object().unwrap().keys() {
        // Any name will do where a path has one.
        let parts = path.split('/').map(|part| if part.starts_with('{') { "x" } else { part });
        let place = parts.collect::<Vec<_>>().join("/");
        for method in METHODS {
            let answer = request(server.address, method, &place, &[("content-type", "application/json")], "");
            let answer = answer.await;
            let is_there = answer.status != 405 && !answer.text.contains("unknown_route");
            assert_eq!(
                is_there,
                known.contains(&(path, method.to_owned())),
                "{method} {path}: {}",
                answer.text
            );
        }
    }
    // No route is made but with its description.
    for (file, text) in own_sources() {
        let makes_routes = [".route(", ".merge(", ".nest("].iter().any(|call| text.contains(call));
        assert!(!makes_routes || file.ends_with("api/mod.rs"), "{file}");
    }
}

#[tokio::test]
async fn every_problem_is_in_the_document_with_its_status_and_the_reverse() {
    let (_place, _server, document) = document().await;
    let mut described: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (_, _, operation) in operations(&document) {
        for (status, response) in operation["responses"].as_object().unwrap() {
            let codes =
                &response["content"]["application/problem+json"]["schema"]["allOf"][1]["properties"]["code"];
            for code in codes["enum"].as_array().into_iter().flatten() {
                described.entry(code.as_str().unwrap().to_owned()).or_default().insert(status.clone());
            }
        }
    }
    let statuses = BTreeMap::from([
        ("UNAUTHORIZED", "401"),
        ("FORBIDDEN", "403"),
        ("NOT_FOUND", "404"),
        ("METHOD_NOT_ALLOWED", "405"),
        ("NOT_ACCEPTABLE", "406"),
        ("REQUEST_TIMEOUT", "408"),
        ("CONFLICT", "409"),
        ("PAYLOAD_TOO_LARGE", "413"),
        ("UNSUPPORTED_MEDIA_TYPE", "415"),
        ("UNPROCESSABLE_ENTITY", "422"),
        ("TOO_MANY_REQUESTS", "429"),
        ("INTERNAL_SERVER_ERROR", "500"),
        ("NOT_IMPLEMENTED", "501"),
        ("SERVICE_UNAVAILABLE", "503"),
    ]);
    // Those of no route.
    let elsewhere = ["unknown_route", "wrong_method"];
    let (mut made, mut all) = (0, String::new());
    for (file, text) in own_sources() {
        all += &text;
        for (start, _) in text.match_indices("Problem::") {
            let call = &text[start + "Problem::".len()..];
            let (status, rest) = if let Some(rest) = call.strip_prefix("bad_request(") {
                ("400", rest)
            } else if let Some(rest) = call.strip_prefix("new(") {
                let Some(rest) = rest.trim_start().strip_prefix("StatusCode::") else { continue };
                let (name, rest) = rest.split_once(',').unwrap();
                (statuses[name], rest)
            } else {
                continue;
            };
            let Some(code) = rest.trim_start().strip_prefix('"') else { continue };
            let (code, _) = code.split_once('"').unwrap();
            made += 1;
            let is_described = described.get(code).is_some_and(|known| known.contains(status));
            assert!(is_described || elsewhere.contains(&code), "{file}: {status} {code} is in no operation");
        }
    }
    assert!(made > 40, "{made}");
    for code in described.keys() {
        // Once where it is described, and once where it is made.
        assert!(all.matches(&format!("\"{code}\"")).count() > 1, "nothing makes {code}");
    }
}

#[tokio::test]
async fn a_stranger_finds_what_each_operation_is_and_takes() {
    let (_place, _server, document) = document().await;
    let tags: Vec<&Value> = document["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        for text in ["summary", "description"] {
            assert!(operation[text].as_str().is_some_and(|text| !text.is_empty()), "{method} {path}: {text}");
        }
        assert!(tags.contains(&&operation["tags"][0]), "{method} {path}");
        assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{method} {path}");
        let parameters: Vec<_> = operation["parameters"].as_array().into_iter().flatten().collect();
        for parameter in &parameters {
            assert!(parameter["description"].is_string(), "{method} {path}: {parameter}");
        }
        let named =
            |name: &str| parameters.iter().any(|known| known["in"] == "path" && known["name"] == name);
        for part in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
            assert!(named(part), "{method} {path}: {part}");
        }
        let has_scope = operation["security"].as_array().is_some_and(|needs| !needs.is_empty());
        assert_eq!(has_scope, operation["responses"]["401"].is_object(), "{method} {path}");
    }
    // What is referred to is there, and no description links to code.
    let text = document.to_string();
    for (start, _) in text.match_indices("\"#/components/schemas/") {
        let name = text[start..].split(['"', '/']).nth(4).unwrap();
        assert!(document["components"]["schemas"][name].is_object(), "{name}");
    }
    assert!(!text.contains("[`") && !text.contains("wire names"), "{text}");
}

#[tokio::test]
async fn pages_ask_no_other_machine_for_anything() {
    let (_place, server, _) = document().await;
    let page = server.get("/docs").await;
    let mut texts = vec![page.text];
    for part in texts[0].clone().split('"').filter(|part| part.starts_with("/assets/")) {
        let asset = server.get(part).await;
        assert_eq!(asset.status, 200, "{part}");
        texts.push(asset.text);
    }
    assert!(texts.len() > 2);
    for text in texts {
        let text = text.replace("http://www.w3.org/2000/svg", "");
        assert!(!text.contains("http://") && !text.contains("https://") && !text.contains("url("), "{text}");
    }
}

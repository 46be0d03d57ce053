//! A document under construction.

use std::collections::{BTreeMap, BTreeSet};

use schemars::generate::{Contract, SchemaSettings};
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use holdfast_model::{DeadLetterId, HoldId, ItemId, OrderId, StoreId, SubscriptionId, TransferId};

use crate::{ErrorCode, PROBLEM_JSON, Problem};

/// The version of OpenAPI.
const OPENAPI: &str = "3.1.1";
/// Where schemas lie in the document.
const SCHEMAS: &str = "/components/schemas";
/// The content type of most bodies.
const JSON: &str = "application/json";

/// An OpenAPI document that operations are added to.
pub struct Document {
    title: &'static str,
    about: &'static str,
    is_node: bool,
    tag: &'static str,
    /// Schemas of what is read from callers.
    read: SchemaGenerator,
    /// Schemas of what is written to them.
    written: SchemaGenerator,
    operations: Vec<Operation>,
}

struct Operation {
    method: &'static str,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    tag: &'static str,
    is_change: bool,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: BTreeMap<u16, Value>,
    codes: BTreeSet<ErrorCode>,
}

/// Says more of the operation that was added last.
pub struct OperationBuilder<'a>(&'a mut Document);

fn generator(contract: Contract) -> SchemaGenerator {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = SCHEMAS.into();
    settings.meta_schema = None;
    settings.contract = contract;
    settings.into_generator()
}

impl Document {
    /// The document of a service around the cluster.
    #[must_use]
    pub fn new(title: &'static str, about: &'static str) -> Self {
        Self {
            title,
            about,
            is_node: false,
            tag: "Service",
            read: generator(Contract::Deserialize),
            written: generator(Contract::Serialize),
            operations: Vec::new(),
        }
    }

    /// The document of a node: its answers say how far it is and who leads.
    #[must_use]
    pub fn of_node(title: &'static str, about: &'static str) -> Self {
        Self { is_node: true, ..Self::new(title, about) }
    }

    /// The family of the operations that follow.
    pub fn tag(&mut self, tag: &'static str) {
        self.tag = tag;
    }

    /// Adds an operation that only looks.
    pub fn get(
        &mut self,
        path: &'static str,
        id: &'static str,
        summary: &'static str,
    ) -> OperationBuilder<'_> {
        self.add("get", path, id, summary)
    }

    /// Adds an operation.
    pub fn post(
        &mut self,
        path: &'static str,
        id: &'static str,
        summary: &'static str,
    ) -> OperationBuilder<'_> {
        self.add("post", path, id, summary)
    }

    /// Adds an operation.
    pub fn put(
        &mut self,
        path: &'static str,
        id: &'static str,
        summary: &'static str,
    ) -> OperationBuilder<'_> {
        self.add("put", path, id, summary)
    }

    /// Adds an operation.
    pub fn delete(
        &mut self,
        path: &'static str,
        id: &'static str,
        summary: &'static str,
    ) -> OperationBuilder<'_> {
        self.add("delete", path, id, summary)
    }

    fn add(
        &mut self,
        method: &'static str,
        path: &'static str,
        id: &'static str,
        summary: &'static str,
    ) -> OperationBuilder<'_> {
        let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let parameters: Vec<Value> = names.map(|name| self.path_parameter(name)).collect();
        let codes = if parameters.is_empty() { BTreeSet::new() } else { [ErrorCode::Malformed].into() };
        self.operations.push(Operation {
            method,
            path,
            id,
            summary,
            tag: self.tag,
            is_change: false,
            parameters,
            body: None,
            answers: BTreeMap::new(),
            codes,
        });
        OperationBuilder(self)
    }

    fn path_parameter(&mut self, name: &str) -> Value {
        let read = &mut self.read;
        let schema = match name {
            "storeId" => read.subschema_for::<StoreId>(),
            "itemId" => read.subschema_for::<ItemId>(),
            "holdId" => read.subschema_for::<HoldId>(),
            "transferId" => read.subschema_for::<TransferId>(),
            "orderId" => read.subschema_for::<OrderId>(),
            "subscriptionId" => read.subschema_for::<SubscriptionId>(),
            "deadLetterId" | "letterId" => read.subschema_for::<DeadLetterId>(),
            _ => read.subschema_for::<u64>(),
        };
        json!({"name": name, "in": "path", "required": true, "schema": schema})
    }

    /// Every method and path, as a router has them.
    #[must_use]
    pub fn routes(&self) -> BTreeSet<(String, String)> {
        let route = |one: &Operation| (one.method.to_uppercase(), one.path.to_owned());
        self.operations.iter().map(route).collect()
    }

    /// The document as JSON.
    ///
    /// # Panics
    /// When two types of one name have different schemas, or an operation was added twice: both are slips of whoever
    /// wrote the document, and every use of it shows them.
    #[must_use]
    pub fn into_json(mut self) -> Value {
        self.written.subschema_for::<Problem>();
        let mut schemas = self.read.take_definitions(true);
        for (name, schema) in self.written.take_definitions(true) {
            let same = schemas.insert(name.clone(), schema.clone()).is_none_or(|other| other == schema);
            assert!(same, "{name} is read in another form than it is written");
        }
        let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
        for operation in &self.operations {
            let item = paths.entry(operation.path).or_default();
            let before = item.insert(operation.method.to_owned(), operation.to_json(self.is_node));
            assert!(before.is_none(), "{} {} was described twice", operation.method, operation.path);
        }
        json!({
            "openapi": OPENAPI,
            "info": {
                "title": self.title,
                "description": self.about,
                "version": env!("CARGO_PKG_VERSION"),
                "license": {"name": "MIT", "identifier": "MIT"},
            },
            "paths": paths,
            "components": {"schemas": schemas, "headers": headers()},
        })
    }
}

/// Headers that answers have.
fn headers() -> Value {
    json!({
        "AppliedSeq": {
            "description": "The last movement that the answering node had applied.",
            "required": true, "schema": {"type": "integer", "minimum": 0},
        },
        "Leader": {
            "description": "`host:port` of the leader, as far as the answering node knows.",
            "schema": {"type": "string"},
        },
        "Replayed": {
            "description": "`true` on the answer to a repeat: nothing changed now.",
            "schema": {"type": "string", "const": "true"},
        },
        "RetryAfter": {
            "description": "Seconds after which the same request may succeed.",
            "schema": {"type": "integer", "minimum": 0},
        },
        "Location": {
            "description": "The same path on the leader.",
            "schema": {"type": "string"},
        },
    })
}

fn header(name: &str) -> Value {
    json!({"$ref": format!("#/components/headers/{name}")})
}

impl Operation {
    fn to_json(&self, is_node: bool) -> Value {
        let mut answers: Map<String, Value> =
            self.answers.iter().map(|(status, answer)| (status.to_string(), answer.clone())).collect();
        let mut by_status: BTreeMap<u16, Vec<ErrorCode>> = BTreeMap::new();
        for &code in &self.codes {
            by_status.entry(code.status()).or_default().push(code);
        }
        for (status, codes) in by_status {
            let refusal = refusal(&codes);
            answers
                .entry(status.to_string())
                .and_modify(|answer| {
                    answer["content"][PROBLEM_JSON] = refusal["content"][PROBLEM_JSON].clone();
                })
                .or_insert(refusal);
        }
        for (status, answer) in &mut answers {
            let mut headers = Map::new();
            if is_node {
                headers.insert("Holdfast-Applied-Seq".to_owned(), header("AppliedSeq"));
                headers.insert("Holdfast-Leader".to_owned(), header("Leader"));
            }
            if self.is_change {
                headers.insert("Idempotency-Replayed".to_owned(), header("Replayed"));
            }
            if status == "503" {
                headers.insert("Retry-After".to_owned(), header("RetryAfter"));
            }
            if status == "307" {
                headers.insert("Location".to_owned(), header("Location"));
            }
            if !headers.is_empty() {
                answer["headers"] = Value::Object(headers);
            }
        }
        let mut operation = json!({
            "operationId": self.id, "summary": self.summary, "tags": [self.tag], "responses": answers,
        });
        if !self.parameters.is_empty() {
            operation["parameters"] = json!(self.parameters);
        }
        if let Some(body) = &self.body {
            operation["requestBody"] = body.clone();
        }
        operation
    }
}

/// An answer with a problem of one of `codes`, which have one status.
fn refusal(codes: &[ErrorCode]) -> Value {
    let titles: Vec<String> =
        codes.iter().map(|code| format!("`{}`: {}.", code.as_str(), code.title())).collect();
    let schema = json!({
        "allOf": [{"$ref": format!("#{SCHEMAS}/Problem")}],
        "properties": {"code": {"enum": codes}},
    });
    json!({"description": titles.join(" "), "content": {PROBLEM_JSON: {"schema": schema}}})
}

impl OperationBuilder<'_> {
    fn operation(&mut self) -> &mut Operation {
        self.0.operations.last_mut().expect("a builder follows an operation")
    }

    /// A parameter of the query.
    pub fn query<T: JsonSchema>(self, name: &str, about: &str) -> Self {
        let schema = self.0.read.subschema_for::<T>();
        self.parameter(json!({"name": name, "in": "query", "description": about, "schema": schema}))
    }

    /// A parameter of the query that is one of some words.
    pub fn query_of(self, name: &str, words: &[&str], about: &str) -> Self {
        let schema = json!({"type": "string", "enum": words});
        self.parameter(json!({"name": name, "in": "query", "description": about, "schema": schema}))
    }

    /// A parameter with its own schema.
    pub fn parameter(mut self, parameter: Value) -> Self {
        let operation = self.operation();
        operation.codes.insert(ErrorCode::Malformed);
        operation.parameters.push(parameter);
        self
    }

    /// It answers with a page.
    pub fn pages(self) -> Self {
        let limit = json!({
            "name": "limit", "in": "query", "description": "The most that a page has; 100 unless given.",
            "schema": {"type": "integer", "minimum": 1, "maximum": 10_000},
        });
        self.parameter(limit)
    }

    /// It answers from the state of a node, as up to date as is asked for.
    pub fn looks(self) -> Self {
        let about = "`local` does without asking the leader whether this node is up to date.";
        self.query_of("consistency", &["linearizable", "local"], about)
            .refuses(&[ErrorCode::NoLeader, ErrorCode::Stopped])
    }

    /// It changes something: a repeat with the same key has one effect.
    pub fn changes(mut self) -> Self {
        self.operation().is_change = true;
        let key = json!({
            "name": "Idempotency-Key", "in": "header",
            "description": "The same key with the same body gives the first outcome again.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
        });
        self.parameter(key)
            .refuses(&[ErrorCode::IdempotencyKeyReused, ErrorCode::KeyTableFull])
            .is_done_by_the_leader()
    }

    /// Only the leader does it: another node passes it on, or says who leads.
    pub fn is_done_by_the_leader(self) -> Self {
        let refused = self.refuses(&[
            ErrorCode::Malformed,
            ErrorCode::Overloaded,
            ErrorCode::NoLeader,
            ErrorCode::OutcomeUnknown,
            ErrorCode::Stopped,
        ]);
        if !refused.0.is_node {
            return refused;
        }
        let time = json!({
            "name": "Holdfast-Timeout-Ms", "in": "header",
            "description": "How long the caller waits for an answer, in milliseconds.",
            "schema": {"type": "integer", "minimum": 1, "maximum": u64::MAX},
        });
        let redirect = json!({
            "name": "Holdfast-Redirect", "in": "header",
            "description": "`1` asks for 307 to the leader instead of passing the request on.",
            "schema": {"type": "string", "enum": ["0", "1"]},
        });
        let mut with = refused.parameter(time).parameter(redirect);
        let answer = json!({"description": "Another node leads, and a redirect was asked for."});
        with.operation().answers.insert(307, answer);
        with.refuses(&[ErrorCode::RequestTimeout, ErrorCode::TooLarge])
    }

    /// It reads a body.
    pub fn takes<T: JsonSchema>(self) -> Self {
        self.takes_body::<T>(true)
    }

    /// It reads a body; none stands for one without members.
    pub fn may_take<T: JsonSchema>(self) -> Self {
        self.takes_body::<T>(false)
    }

    fn takes_body<T: JsonSchema>(self, is_required: bool) -> Self {
        let schema = self.0.read.subschema_for::<T>();
        self.takes_schema(is_required, json!(schema))
    }

    /// It reads a body of a schema.
    pub fn takes_schema(mut self, is_required: bool, schema: Value) -> Self {
        self.operation().body = Some(json!({"required": is_required, "content": {JSON: {"schema": schema}}}));
        self.refuses(&[
            ErrorCode::Malformed,
            ErrorCode::RequestTimeout,
            ErrorCode::TooLarge,
            ErrorCode::UnsupportedMediaType,
            ErrorCode::QuantityOutOfRange,
        ])
    }

    /// Its body may also be of another content type, in bytes.
    pub fn takes_bytes(mut self, content_type: &str) -> Self {
        if let Some(body) = &mut self.operation().body {
            body["content"][content_type] = json!({"schema": {"type": "string", "format": "binary"}});
        }
        self
    }

    /// It answers with a body.
    pub fn answers<T: JsonSchema>(self, status: u16, about: &str) -> Self {
        let schema = self.0.written.subschema_for::<T>();
        self.answers_schema(status, about, JSON, json!(schema))
    }

    /// It answers with one of two bodies.
    pub fn answers_one_of<A: JsonSchema, B: JsonSchema>(self, status: u16, about: &str) -> Self {
        let written = &mut self.0.written;
        let either = json!({"anyOf": [written.subschema_for::<A>(), written.subschema_for::<B>()]});
        self.answers_schema(status, about, JSON, either)
    }

    /// It answers with lines, each of them JSON of a type that is among the schemas.
    pub fn answers_lines<T: JsonSchema>(self, status: u16, about: &str, content_type: &str) -> Self {
        // The content is no JSON text itself, so the schema of a line stands beside it.
        let line = json!(self.0.written.subschema_for::<T>());
        let reference = line["$ref"].as_str().unwrap_or_default();
        let about = format!("{about} Each line is JSON of `{reference}`.");
        self.answers_schema(status, &about, content_type, json!({"type": "string"}))
    }

    /// It makes something: 201, or 200 when it was made before.
    pub fn creates<T: JsonSchema>(self, about: &str) -> Self {
        let again = format!("{about}, made before.");
        self.answers::<T>(201, &format!("{about}.")).answers::<T>(200, &again)
    }

    /// It answers with a body that is described elsewhere.
    pub fn answers_any(self, status: u16, about: &str, content_type: &str) -> Self {
        self.answers_schema(status, about, content_type, json!({}))
    }

    /// It answers with a body of a schema.
    pub fn answers_schema(mut self, status: u16, about: &str, content_type: &str, schema: Value) -> Self {
        let answer = self.operation().answers.entry(status).or_insert_with(|| json!({"content": {}}));
        answer["description"] = json!(about);
        answer["content"][content_type] = json!({"schema": schema});
        self
    }

    /// It may be answered with a problem of these codes.
    pub fn refuses(mut self, codes: &[ErrorCode]) -> Self {
        self.operation().codes.extend(codes);
        self
    }
}

//! Operations: each is registered once, and route, documentation, access rule and checks
//! of its input all come from the types of its handler.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{Method, StatusCode, header, request};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use model::because;
use model::time::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::App;
use super::checks::{self, Checker, PatternError};
use super::problem::{FieldError, Problem, ProblemKind};
use crate::auth::permission::{Demand, Rule};
use crate::auth::{self, Source};

/// Largest request body.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Most query parameters of one request.
const PARAMETERS_MAX: usize = 64;

/// No query parameters, or no body.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

impl<D: Demand, P, Q, B> std::fmt::Debug for Ask<D, P, Q, B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ask").field("rule", &D::RULE).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Operations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Operations").field(&self.list.len()).finish()
    }
}

/// One admitted request: `D` is the demand that its caller met.
pub struct Ask<D: Demand, P = (), Q = Nothing, B = Nothing> {
    pub app: Arc<App>,
    pub who: D::Who,
    /// When the request came in.
    pub now: Timestamp,
    pub source: Source,
    pub path: P,
    pub query: Q,
    pub body: B,
    /// `Last-Event-ID` of a browser that was connected before.
    pub last_event_id: Option<String>,
    /// Only [`run`] makes one, after the demand was met.
    admitted: PhantomData<D>,
}

/// The one parameter in a path, or none.
pub trait PathPart: Sized + Send {
    /// Its name in the template and its schema.
    fn parameter() -> Option<(&'static str, Value)>;
    fn read(text: &str) -> Result<Self, Problem>;
}

impl PathPart for () {
    fn parameter() -> Option<(&'static str, Value)> {
        None
    }

    fn read(_: &str) -> Result<Self, Problem> {
        Ok(())
    }
}

macro_rules! id_parts {
    ($($name:ident)*) => {$(
        impl PathPart for model::id::$name {
            fn parameter() -> Option<(&'static str, Value)> {
                Some(("id", schema_value::<Self>()))
            }

            fn read(text: &str) -> Result<Self, Problem> {
                text.parse().map_err(|it: model::id::IdError| Problem::field("id", it.to_string()))
            }
        }
    )*};
}
id_parts! {
    HostId GroupId FindingId ScanId UserId ApiTokenId EnrolTokenId ResponseId IsolatedId BlockedId
    JobId ChannelId RouteId DeliveryId
}

/// What a handler gives back when all is well.
pub trait Answer: Send {
    const STATUS: StatusCode;
    /// Media type and schema of the body, if there is one.
    fn content(schemas: &mut Schemas) -> Option<(&'static str, Value)>;
    fn respond(self) -> Response;
}

impl<T: Serialize + ToSchema + Send> Answer for Json<T> {
    const STATUS: StatusCode = StatusCode::OK;

    fn content(schemas: &mut Schemas) -> Option<(&'static str, Value)> {
        Some(("application/json", schemas.reference::<T>()))
    }

    fn respond(self) -> Response {
        self.into_response()
    }
}

/// 201 with the new thing.
#[derive(Debug)]
pub struct Created<T>(pub T);

impl<T: Serialize + ToSchema + Send> Answer for Created<T> {
    const STATUS: StatusCode = StatusCode::CREATED;

    fn content(schemas: &mut Schemas) -> Option<(&'static str, Value)> {
        Some(("application/json", schemas.reference::<T>()))
    }

    fn respond(self) -> Response {
        (Self::STATUS, Json(self.0)).into_response()
    }
}

/// 202: it has begun.
#[derive(Debug)]
pub struct Accepted<T>(pub T);

impl<T: Serialize + ToSchema + Send> Answer for Accepted<T> {
    const STATUS: StatusCode = StatusCode::ACCEPTED;

    fn content(schemas: &mut Schemas) -> Option<(&'static str, Value)> {
        Some(("application/json", schemas.reference::<T>()))
    }

    fn respond(self) -> Response {
        (Self::STATUS, Json(self.0)).into_response()
    }
}

/// 204: done, nothing to tell.
#[derive(Debug)]
pub struct Done;

impl Answer for Done {
    const STATUS: StatusCode = StatusCode::NO_CONTENT;

    fn content(_: &mut Schemas) -> Option<(&'static str, Value)> {
        None
    }

    fn respond(self) -> Response {
        Self::STATUS.into_response()
    }
}

/// The named schemas of the document, as they are met.
#[derive(Debug, Default)]
pub struct Schemas(BTreeMap<String, Value>);

impl Schemas {
    /// Adds `T` and all it refers to; the value points to it.
    pub fn reference<T: ToSchema>(&mut self) -> Value {
        let mut met = Vec::new();
        T::schemas(&mut met);
        met.push((T::name().into_owned(), T::schema()));
        for (name, schema) in met {
            let value = serde_json::to_value(schema).unwrap_or_default();
            self.0.entry(name).or_insert(value);
        }
        json!({ "$ref": format!("#/components/schemas/{}", T::name()) })
    }
}

/// Schema of `T` in place, with what it refers to left as references.
pub fn schema_value<T: ToSchema>() -> Value {
    serde_json::to_value(T::schema()).unwrap_or_default()
}

/// How an operation is called in the document.
#[derive(Clone, Copy, Debug)]
pub struct Doc {
    /// Stable for ever: generated clients name their methods after it.
    pub id: &'static str,
    pub tag: &'static str,
    pub summary: &'static str,
}

type Running = Pin<Box<dyn Future<Output = Response> + Send>>;
type Runner = Arc<dyn Fn(Arc<App>, Incoming) -> Running + Send + Sync>;

/// What a runner is called with.
struct Incoming {
    head: request::Parts,
    path: Option<String>,
    body: Body,
}

struct Operation {
    method: Method,
    path: &'static str,
    runner: Runner,
}

/// All operations of the API.
#[derive(Default)]
pub struct Operations {
    list: Vec<Operation>,
    paths: BTreeMap<String, Map<String, Value>>,
    schemas: Schemas,
    /// Schemas that requests are held against.
    inputs: Vec<Value>,
    /// Schemas that answers follow.
    outputs: Vec<Value>,
}

/// The input schemas of one operation.
struct Input {
    rule: Rule,
    /// Object schema over all query parameters.
    query: Value,
    /// `None`: the operation takes no body.
    body: Option<Value>,
}

impl Operations {
    /// Registers `handler`; its argument says what it demands and takes, its result what it answers.
    pub fn add<D, P, Q, B, A, H, F>(
        &mut self,
        method: Method,
        path: &'static str,
        doc: Doc,
        handler: H,
    ) where
        D: Demand,
        P: PathPart + 'static,
        Q: ToSchema + DeserializeOwned + Send + 'static,
        B: ToSchema + DeserializeOwned + Send + 'static,
        A: Answer + 'static,
        H: Fn(Ask<D, P, Q, B>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<A, Problem>> + Send + 'static,
    {
        let mut met = Vec::new();
        Q::schemas(&mut met);
        for (name, schema) in met {
            self.schemas.0.entry(name).or_insert(serde_json::to_value(schema).unwrap_or_default());
        }
        let query = without_null(schema_value::<Q>());
        let takes_body = schema_value::<B>()
            .get("properties")
            .and_then(Value::as_object)
            .is_some_and(|it| !it.is_empty());
        let body = takes_body.then(|| self.schemas.reference::<B>());
        let input = Arc::new(Input { rule: D::RULE, query, body });
        let described = self.describe::<P, A>(doc, &input);
        self.paths
            .entry(path.to_owned())
            .or_default()
            .insert(method.as_str().to_ascii_lowercase(), described);
        self.inputs.push(input.query.clone());
        self.inputs.extend(input.body.clone());
        let runner: Runner = Arc::new(move |app, incoming| {
            Box::pin(run(app, incoming, Arc::clone(&input), handler.clone()))
        });
        self.list.push(Operation { method, path, runner });
    }

    fn describe<P: PathPart, A: Answer>(&mut self, doc: Doc, input: &Input) -> Value {
        let mut parameters = Vec::new();
        if let Some((name, schema)) = P::parameter() {
            parameters
                .push(json!({ "name": name, "in": "path", "required": true, "schema": schema }));
        }
        parameters.extend(query_parameters(&input.query));
        let mut responses = Map::new();
        let mut success = Map::new();
        let description = A::STATUS.canonical_reason().unwrap_or("OK");
        success.insert("description".to_owned(), description.into());
        if let Some((media, schema)) = A::content(&mut self.schemas) {
            self.outputs.push(schema.clone());
            success.insert("content".to_owned(), json!({ media: { "schema": schema } }));
        }
        responses.insert(A::STATUS.as_str().to_owned(), success.into());
        for status in failures::<P>(input) {
            responses
                .insert(status.to_owned(), json!({ "$ref": "#/components/responses/Problem" }));
        }
        let security = match input.rule {
            Rule::Anyone => json!([]),
            Rule::Session => json!([{ "session": [] }]),
            Rule::Needs(_) => json!([{ "session": [] }, { "token": [] }]),
        };
        let mut operation = Map::new();
        let mut set = |name: &str, value| operation.insert(name.to_owned(), value);
        set("operationId", doc.id.into());
        set("tags", json!([doc.tag]));
        set("summary", doc.summary.into());
        set("x-permission", input.rule.word().into());
        set("parameters", parameters.into());
        if let Some(schema) = &input.body {
            let content = json!({ "application/json": { "schema": schema } });
            set("requestBody", json!({ "required": true, "content": content }));
        }
        set("security", security);
        set("responses", responses.into());
        operation.into()
    }

    /// The OpenAPI 3.1 document.
    pub fn document(&self) -> Value {
        let mut schemas = self.schemas();
        let mut problem = Schemas::default();
        let problem_ref = problem.reference::<super::problem::ProblemBody>();
        schemas.extend(problem.0);
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Garrison",
                "version": "1",
                "description": "Hosts, what runs on them and what happens to them. Every error is a problem document (RFC 9457). Times are RFC 3339 in UTC. Lists are paged by opaque cursors.",
                "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            },
            "servers": [{ "url": "/api/v1" }],
            "paths": self.paths,
            "components": {
                "schemas": schemas,
                "responses": { "Problem": {
                    "description": "Why the request was not carried out",
                    "content": { "application/problem+json": { "schema": problem_ref } },
                } },
                "securitySchemes": {
                    "session": { "type": "apiKey", "in": "cookie", "name": auth::session::COOKIE },
                    "token": { "type": "http", "scheme": "bearer", "bearerFormat": "gat_…" },
                },
            },
        })
    }

    /// What requests are held against.
    pub fn checker(&self) -> Result<Arc<Checker>, PatternError> {
        Checker::new(self.schemas(), &self.inputs)
    }

    /// The named schemas. Requests take no field that is not named; answers hold every field.
    fn schemas(&self) -> Map<String, Value> {
        let mut schemas: Map<_, _> = self.schemas.0.clone().into_iter().collect();
        let taken = reachable(&schemas, &self.inputs);
        let given = reachable(&schemas, &self.outputs);
        for (name, schema) in &mut schemas {
            let Some(schema) = schema.as_object_mut() else { continue };
            let Some(Value::Object(fields)) = schema.get("properties") else { continue };
            let names: Vec<_> = fields.keys().cloned().collect();
            if taken.contains(name) && !schema.contains_key("additionalProperties") {
                schema.insert("additionalProperties".to_owned(), false.into());
            }
            if given.contains(name) && !SPARSE.contains(&name.as_str()) {
                schema.insert("required".to_owned(), names.into());
            }
        }
        schemas
    }

    /// The routes below `/api/v1`.
    pub fn router(self) -> Router<Arc<App>> {
        let mut router = Router::new();
        for Operation { method, path, runner } in self.list {
            let Ok(filter) = axum::routing::MethodFilter::try_from(method) else { continue };
            let handler = move |axum::extract::State(app): axum::extract::State<Arc<App>>,
                                path: Option<axum::extract::Path<String>>,
                                request: axum::extract::Request| {
                let (head, body) = request.into_parts();
                runner(app, Incoming { head, path: path.map(|it| it.0), body })
            };
            router = router.route(path, axum::routing::on(filter, handler));
        }
        router
    }
}

/// Schemas whose absent fields are left out of answers.
const SPARSE: &[&str] = &["LoginWhitelistEntry", "ProcessFact"];

/// Names of all schemas that `roots` refer to, however far.
fn reachable(schemas: &Map<String, Value>, roots: &[Value]) -> BTreeSet<String> {
    fn collect(value: &Value, out: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                let name = fields.get("$ref").and_then(Value::as_str);
                out.extend(name.and_then(|it| it.rsplit('/').next()).map(str::to_owned));
                fields.values().for_each(|it| collect(it, out));
            }
            Value::Array(items) => items.iter().for_each(|it| collect(it, out)),
            _ => {}
        }
    }
    let mut waiting = Vec::new();
    for root in roots {
        collect(root, &mut waiting);
    }
    let mut met = BTreeSet::new();
    while let Some(name) = waiting.pop() {
        if let Some(schema) = schemas.get(&name)
            && met.insert(name)
        {
            collect(schema, &mut waiting);
        }
    }
    met
}

/// A query parameter is absent or has a value: nothing in a query is null.
fn without_null(mut query: Value) -> Value {
    let properties = query.get_mut("properties").and_then(Value::as_object_mut);
    for schema in properties.into_iter().flat_map(|it| it.values_mut()) {
        let Some(fields) = schema.as_object_mut() else { continue };
        if let Some(Value::Array(types)) = fields.get("type") {
            let named = types.iter().find(|it| *it != "null").cloned();
            fields.insert("type".to_owned(), named.unwrap_or_default());
        }
        let choices = fields.remove("oneOf");
        let named = choices.as_ref().and_then(Value::as_array).into_iter().flatten();
        if let Some(Value::Object(named)) = named.into_iter().find(|it| it.get("$ref").is_some()) {
            fields.extend(named.clone());
        }
    }
    query
}

fn query_parameters(query: &Value) -> Vec<Value> {
    let required = query.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let properties = query.get("properties").and_then(Value::as_object).into_iter().flatten();
    properties
        .map(|(name, schema)| {
            let mut schema = schema.clone();
            let text = schema.as_object_mut().and_then(|it| it.remove("description"));
            let mut parameter = Map::new();
            parameter.insert("name".to_owned(), name.as_str().into());
            parameter.insert("in".to_owned(), "query".into());
            parameter.insert("required".to_owned(), required.iter().any(|it| it == name).into());
            parameter.insert("schema".to_owned(), schema);
            parameter.extend(text.map(|it| ("description".to_owned(), it)));
            parameter.into()
        })
        .collect()
}

/// Statuses, besides success, that the operation can answer with.
fn failures<P: PathPart>(input: &Input) -> Vec<&'static str> {
    let mut statuses = Vec::new();
    let has_query = !query_parameters(&input.query).is_empty();
    statuses.push("400");
    if input.rule != Rule::Anyone || input.body.is_some() {
        statuses.extend(["401", "403"]);
    }
    if P::parameter().is_some() || has_query || input.body.is_some() {
        statuses.push("404");
    }
    statuses.push("408");
    if input.body.is_some() {
        statuses.extend(["409", "413", "415", "429"]);
    } else if P::parameter().is_some() {
        statuses.push("409");
    }
    statuses.extend(["500", "503"]);
    statuses
}

async fn run<D, P, Q, B, A, H, F>(
    app: Arc<App>,
    incoming: Incoming,
    input: Arc<Input>,
    handler: H,
) -> Response
where
    D: Demand,
    P: PathPart,
    Q: DeserializeOwned,
    B: DeserializeOwned,
    A: Answer,
    H: Fn(Ask<D, P, Q, B>) -> F,
    F: Future<Output = Result<A, Problem>>,
{
    match admit(app, incoming, &input).await {
        Ok(ask) => match handler(ask).await {
            Ok(answer) => answer.respond(),
            Err(problem) => problem.into_response(),
        },
        Err(problem) => problem.into_response(),
    }
}

/// The door: identity, then permission, then origin, then the input, in this order, so that
/// a stranger learns nothing from how an input is refused.
async fn admit<D, P, Q, B>(
    app: Arc<App>,
    incoming: Incoming,
    input: &Input,
) -> Result<Ask<D, P, Q, B>, Problem>
where
    D: Demand,
    P: PathPart,
    Q: DeserializeOwned,
    B: DeserializeOwned,
{
    let Incoming { head, path, body } = incoming;
    let now = app.clock.now();
    let source = Source::of(&head);
    let identity = match input.rule {
        Rule::Anyone => None,
        Rule::Session | Rule::Needs(_) => auth::identify(&app, &head.headers, now).await?,
    };
    let who = D::admit(identity)?;
    if !head.method.is_safe() {
        auth::origin::check(&head.headers)?;
    }
    let path = P::read(&path.unwrap_or_default())?;
    let query = read_query(&app.checker, &input.query, head.uri.query().unwrap_or_default())?;
    let body = read_body(&app.checker, input.body.as_ref(), &head, body).await?;
    let last = head.headers.get("last-event-id").and_then(|it| it.to_str().ok());
    let last_event_id = last.map(str::to_owned);
    Ok(Ask { last_event_id, app, who, now, source, path, query, body, admitted: PhantomData })
}

/// Texts become what the schema says they are; what does not fit is refused by name.
fn read_query<Q: DeserializeOwned>(
    checker: &Checker,
    schema: &Value,
    query: &str,
) -> Result<Q, Problem> {
    let mut given = Map::new();
    let mut errors = Vec::new();
    for (name, text) in form_urlencoded::parse(query.as_bytes()).take(PARAMETERS_MAX) {
        let form = schema.get("properties").and_then(|it| it.get(name.as_ref()));
        let Some(form) = form else {
            errors.push(FieldError::new(name, checks::unknown()));
            continue;
        };
        let value = typed(checker.resolve(form), text.into_owned());
        if given.insert(name.to_string(), value).is_some() {
            errors.push(FieldError::new(name, because!("input.given_twice", "is given twice")));
        }
    }
    let given = Value::Object(given);
    errors.extend(checker.check(schema, &given, ""));
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    serde_json::from_value(given)
        .map_err(|it| Problem::new(ProblemKind::RequestInvalid, it.to_string()))
}

fn typed(schema: &Value, text: String) -> Value {
    let is = |name: &str| match schema.get("type") {
        Some(Value::String(it)) => it == name,
        Some(Value::Array(them)) => them.iter().any(|it| it == name),
        _ => false,
    };
    if is("integer")
        && let Ok(number) = text.parse::<i64>()
    {
        return number.into();
    }
    match text.as_str() {
        "true" if is("boolean") => true.into(),
        "false" if is("boolean") => false.into(),
        _ => text.into(),
    }
}

async fn read_body<B: DeserializeOwned>(
    checker: &Checker,
    schema: Option<&Value>,
    head: &request::Parts,
    body: Body,
) -> Result<B, Problem> {
    let bytes = to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| {
        let detail =
            because!("request.large", "a body has at most {max} bytes", max = BODY_BYTES_MAX);
        Problem::new(ProblemKind::TooLarge, detail)
    })?;
    let Some(schema) = schema else {
        if !bytes.is_empty() {
            return Err(Problem::new(
                ProblemKind::RequestInvalid,
                because!("request.body", "this takes no body"),
            ));
        }
        return serde_json::from_value(json!({})).map_err(|it| Problem::internal(&it));
    };
    let media = head.headers.get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok());
    let media = media.and_then(|it| it.split(';').next()).map_or("", str::trim);
    if !media.eq_ignore_ascii_case("application/json") {
        return Err(Problem::new(
            ProblemKind::MediaType,
            because!("request.media_type", "Content-Type must be application/json"),
        ));
    }
    let bad = |it: serde_json::Error| {
        let detail = because!("request.json", "body: {cause}", cause = it);
        Problem::new(ProblemKind::RequestInvalid, detail)
    };
    let value: Value = serde_json::from_slice(&bytes).map_err(bad)?;
    let errors = checker.check(schema, &value, "");
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    serde_json::from_value(value).map_err(bad)
}

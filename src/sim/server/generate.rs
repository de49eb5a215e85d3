//! Answers of the model APIs: what the engine is asked to compute, and the text that comes out of it.

use http::{HeaderMap, Response};
use serde_json::json;

use crate::sim::engine::{BLOCK_TOKENS, Job, Refusal};
use crate::sim::text;

use super::api::{
    Api, ApiError, Ask, Events, Finish, Identity, Outcome, embedding_list, form, read_ask,
    read_embed,
};
use super::app::App;
use super::body::{AnswerBody, Stream, Written};
use super::fault::{Break, Spoil};
use super::service::{Reply, response};

/// Answers a request for text, whole or as a stream.
pub(super) async fn text(
    reply: Reply,
    api: Api,
    headers: &HeaderMap,
    body: &[u8],
) -> Response<AnswerBody> {
    match prepare(&reply, api, headers, body) {
        Ok(prepared) => prepared.answer(reply).await,
        Err(error) => reply.error(Some(api), &error),
    }
}

/// A sequence in the engine, and what to say about it.
struct Prepared {
    ask: Ask,
    stream: Stream,
}

fn prepare(
    reply: &Reply,
    api: Api,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Prepared, ApiError> {
    let app = reply.app();
    let mut ask = read_ask(api, body)?;
    if let Some(value) = headers.get("x-sim-output-tokens") {
        let wrong = || ApiError::new(400, "x-sim-output-tokens must be a number, 1 or more");
        let tokens = value
            .to_str()
            .ok()
            .and_then(|text| text.parse().ok())
            .filter(|tokens| *tokens > 0);
        ask.exact = Some(tokens.ok_or_else(wrong)?);
    }
    let model = served_model(app, &ask.model)?;
    let (text, mut outcome) = plan(&ask, app.config.rates.kv_tokens)?;
    if reply.spoil == Some(Spoil::Filtered) {
        outcome.finish = Finish::Filtered;
    }
    let whole = format!("{}{text}", ask.prompt);
    let job = Job {
        prompt: outcome.prompt,
        output: outcome.output,
        blocks: text::blocks(&whole, BLOCK_TOKENS),
    };
    let ticket = app
        .driver
        .submit(job)
        .map_err(|Refusal::TooLong { limit }| too_long(limit))?;
    let who = Identity {
        id: app.id(),
        created: app.now_unix(),
        model,
    };
    let form = form(&ask, who);
    let events = Events::new(None, None);
    Ok(Prepared {
        ask,
        stream: Stream {
            form,
            ticket,
            text,
            outcome,
            events,
            progress: Written::Nothing,
        },
    })
}

impl Prepared {
    async fn answer(mut self, reply: Reply) -> Response<AnswerBody> {
        if self.ask.stream {
            if !reply.app().config.early_headers {
                self.stream.ticket.first().await;
            }
            self.stream.events =
                Events::new(reply.fault.map(|Break { after, .. }| after), reply.spoil);
            let body = AnswerBody::events(self.stream, reply.fault, reply.exchange, reply.knobs);
            return response(200, "text/event-stream; charset=utf-8", body);
        }
        self.stream.outcome.cached = self.stream.ticket.end().await.cached;
        reply.app().counts.finished(self.stream.outcome.finish);
        let document = self
            .stream
            .form
            .whole(&self.stream.text, &self.stream.outcome);
        reply.json(200, &document)
    }
}

/// Decides the text and its length from the prompt alone, within what the request allows and the memory holds.
fn plan(ask: &Ask, memory: u32) -> Result<(String, Outcome), ApiError> {
    let seed = text::hash(0, ask.prompt.as_bytes());
    let prompt = text::count(&ask.prompt).max(1);
    let room = memory.saturating_sub(prompt);
    if room == 0 {
        return Err(too_long(memory));
    }
    let limit = ask.max_tokens.unwrap_or(room).min(room);
    let natural = match (ask.exact, ask.ignore_eos) {
        (Some(exact), _) => exact,
        (None, true) => u32::MAX,
        (None, false) => text::natural_length(seed),
    };
    let output = natural.min(limit);
    let finish = if natural <= limit {
        Finish::Stop
    } else {
        Finish::Length
    };
    let text = match finish {
        Finish::Stop => text::words(seed, output),
        // A text that is cut has no full stop: it is the beginning of a longer one.
        Finish::Length | Finish::Filtered => text::words(seed, output).replace('.', " "),
    };
    Ok((
        text,
        Outcome {
            prompt,
            output,
            cached: 0,
            finish,
        },
    ))
}

fn too_long(limit: u32) -> ApiError {
    ApiError {
        code: Some("context_length_exceeded"),
        ..ApiError::field(
            "messages",
            format!("this model's maximum context length is {limit} tokens"),
        )
    }
}

/// Answers a request for embeddings, after its tokens went through the engine.
pub(super) async fn embeddings(reply: Reply, body: &[u8]) -> Response<AnswerBody> {
    let api = Some(Api::Embeddings);
    let embed = match read_embed(body) {
        Ok(embed) => embed,
        Err(error) => return reply.error(api, &error),
    };
    let model = match served_model(reply.app(), &embed.model) {
        Ok(model) => model,
        Err(error) => return reply.error(api, &error),
    };
    let tokens = embed.inputs.iter().map(|input| text::count(input)).sum();
    let ticket = reply.app().driver.submit(Job {
        prompt: tokens,
        output: 0,
        blocks: Vec::new(),
    });
    match ticket {
        Ok(mut ticket) => ticket.end().await,
        Err(Refusal::TooLong { limit }) => return reply.error(api, &too_long(limit)),
    };
    reply.json(
        200,
        &embedding_list(
            &model,
            &embed.inputs,
            embed.dimensions,
            embed.encoding,
            tokens,
        ),
    )
}

/// The list of models.
pub(super) fn models(reply: Reply) -> Response<AnswerBody> {
    let app = reply.app();
    let created = app.now_unix();
    let one = |id: &str| {
        json!({
            "id": id, "object": "model", "created": created, "owned_by": "tollgate-sim", "root": id, "parent": null,
            "max_model_len": app.config.rates.kv_tokens,
        })
    };
    let data: Vec<_> = match app.config.models.as_slice() {
        [] => vec![one(DEFAULT_MODEL)],
        models => models.iter().map(|model| one(model)).collect(),
    };
    reply.json(200, &json!({"object": "list", "data": data}))
}

/// The model of a server that was given no list.
pub(super) const DEFAULT_MODEL: &str = "sim";

fn served_model(app: &App, asked: &str) -> Result<String, ApiError> {
    match (asked, app.config.models.as_slice()) {
        ("", []) => Ok(DEFAULT_MODEL.to_owned()),
        ("", [first, ..]) => Ok(first.clone()),
        (asked, models) if models.is_empty() || models.iter().any(|model| model == asked) => {
            Ok(asked.to_owned())
        }
        (asked, _) => Err(ApiError {
            param: Some("model"),
            code: Some("model_not_found"),
            ..ApiError::new(404, format!("the model `{asked}` does not exist"))
        }),
    }
}

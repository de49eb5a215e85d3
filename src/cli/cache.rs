//! `tollgate cache`: looks into the caches of the running process, and takes things out of them, through its admin API.

mod call;
mod show;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use self::call::{Admin, Failure};
use super::BAD_USAGE;
use crate::config;

/// Arguments of `tollgate cache`.
#[derive(Args)]
pub(super) struct CacheArgs {
    #[command(subcommand)]
    command: Command,
    /// Ask here, without reading the configuration
    #[arg(long, global = true, value_name = "HOST:PORT")]
    admin: Option<String>,
    /// The file with the admin token, where the configuration does not say
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The configuration file: it says where the admin listener is, and where its token
    #[arg(
        short,
        long,
        global = true,
        default_value = "/etc/tollgate/tollgate.yaml"
    )]
    config: PathBuf,
    /// Print the API's own answer
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// List the caches, or some entries of one
    List {
        /// The cache whose entries are listed
        cache: Option<String>,
        #[command(flatten)]
        which: Which,
        /// Entries that are shown, at most 100
        #[arg(long)]
        limit: Option<u8>,
    },
    /// Show one entry
    Show {
        /// The cache
        cache: String,
        /// The entry, as X-Cache-Key named it
        id: String,
        /// Show the question and the answer too; needs an admin token
        #[arg(long)]
        content: bool,
    },
    /// Say what a purge would take out; with --yes, take it out
    Purge {
        /// Only from this cache
        #[arg(long)]
        cache: Option<String>,
        /// The entry with this id
        #[arg(long)]
        id: Option<String>,
        #[command(flatten)]
        which: Which,
        /// Entries whose question is near this text
        #[arg(long, requires = "radius")]
        text: Option<String>,
        /// How near: the least cosine similarity, 0 to 1
        #[arg(long, requires = "text")]
        radius: Option<f32>,
        /// Every entry
        #[arg(long)]
        all: bool,
        /// Do it
        #[arg(long)]
        yes: bool,
    },
    /// Make everything older unreachable, at once
    #[command(group(clap::ArgGroup::new("whose").required(true)))]
    Epoch {
        /// Only in this cache
        #[arg(long)]
        cache: Option<String>,
        /// Everybody's answers
        #[arg(long, group = "whose")]
        all: bool,
        /// Those of one scope, such as key:NAME
        #[arg(long, group = "whose")]
        scope: Option<String>,
        /// Those of one tenant
        #[arg(long, group = "whose")]
        tenant: Option<String>,
        /// Those of one route
        #[arg(long, group = "whose")]
        route: Option<String>,
        /// Those to requests for one model
        #[arg(long, group = "whose")]
        model: Option<String>,
    },
    /// Say that an answer was good or bad; a bad one is taken out
    Feedback {
        /// The entry, as X-Cache-Key named it
        id: String,
        /// good or bad
        #[arg(value_parser = ["good", "bad"])]
        verdict: String,
        /// The cache, where more than one might have it
        #[arg(long)]
        cache: Option<String>,
    },
    /// Show how often answers by meaning are right, for each share of hits
    Curve {
        /// The cache
        cache: String,
    },
}

/// Which entries; all that is said must hold.
#[derive(Args)]
struct Which {
    /// Of this scope, such as key:NAME
    #[arg(long)]
    scope: Option<String>,
    /// Of this tenant
    #[arg(long)]
    tenant: Option<String>,
    /// Asked on this route
    #[arg(long)]
    route: Option<String>,
    /// To requests for this model
    #[arg(long)]
    model: Option<String>,
    /// Of this namespace
    #[arg(long)]
    namespace: Option<String>,
    /// With this tag; may be given more than once
    #[arg(long, value_name = "NAME=VALUE", value_parser = tag)]
    tag: Vec<(String, String)>,
}

fn tag(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// A call, and how its answer is shown.
struct Ask {
    method: &'static str,
    path: String,
    body: Option<Value>,
    show: fn(&Value) -> String,
}

/// Asks the running process and prints what it says.
pub(super) fn run(args: &CacheArgs) -> ExitCode {
    let admin = match admin(args) {
        Ok(admin) => admin,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(BAD_USAGE);
        }
    };
    let ask = args.command.ask();
    match admin.call(ask.method, &ask.path, ask.body.as_ref()) {
        Ok(answer) => {
            let text = match args.json {
                true => serde_json::to_string_pretty(&answer).unwrap_or_default(),
                false => (ask.show)(&answer),
            };
            println!("{}", text.trim_end());
            ExitCode::SUCCESS
        }
        Err(failure) => {
            match (&failure, args.json) {
                (Failure::Refused { body, .. }, true) => println!("{body}"),
                _ => eprintln!("tollgate: {failure}"),
            }
            match failure {
                // What was asked for makes no sense: the same as a wrong flag.
                Failure::Refused { status: 400, .. } => ExitCode::from(BAD_USAGE),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn admin(args: &CacheArgs) -> Result<Admin, String> {
    let read = |path: &Path| {
        let text = std::fs::read_to_string(path);
        text.map(|text| text.trim().to_owned())
            .map_err(|error| format!("{}: {error}", path.display()))
    };
    let given = args.token_file.as_deref().map(read).transpose()?;
    if let Some(address) = &args.admin {
        return Ok(Admin::new(address.clone(), given));
    }
    let loaded = config::load(&args.config).map_err(|errors| errors.to_string())?;
    let conf = loaded.config.admin.ok_or_else(|| {
        format!(
            "{}: has no admin listener; name one with --admin HOST:PORT",
            args.config.display()
        )
    })?;
    let token = match (given, conf.token) {
        (None, Some(token)) => Some(read(&token.file)?),
        (given, _) => given,
    };
    Ok(Admin::new(conf.address.to_string(), token))
}

impl Command {
    fn ask(&self) -> Ask {
        match self {
            Self::List { cache: None, .. } => Ask::get("", show::caches),
            Self::List {
                cache: Some(cache),
                which,
                limit,
            } => {
                let mut query = which.query();
                if let Some(limit) = limit {
                    query.push(format!("limit={limit}"));
                }
                let path = format!("/{}/entries?{}", escaped(cache), query.join("&"));
                Ask::get(&path, show::entries)
            }
            Self::Show { cache, id, content } => {
                let path = format!("/{}/entries/{}", escaped(cache), escaped(id));
                let query = if *content { "?content=true" } else { "" };
                Ask::get(&format!("{path}{query}"), show::entry)
            }
            Self::Purge {
                cache,
                id,
                which,
                text,
                radius,
                all,
                yes,
            } => {
                let mut body = which.body();
                put(&mut body, "cache", cache.as_ref());
                put(&mut body, "id", id.as_ref());
                put(&mut body, "text", text.as_ref());
                put(&mut body, "radius", radius.as_ref());
                put(&mut body, "all", all.then_some(&true));
                body.insert("dry_run".to_owned(), json!(!yes));
                Ask::post("/purge", body, show::purge)
            }
            Self::Epoch {
                cache,
                all,
                scope,
                tenant,
                route,
                model,
            } => {
                let mut body = Map::new();
                put(&mut body, "all", all.then_some(&true));
                let named = [
                    ("cache", cache),
                    ("scope", scope),
                    ("tenant", tenant),
                    ("route", route),
                    ("model", model),
                ];
                for (name, value) in named {
                    put(&mut body, name, value.as_ref());
                }
                Ask::post("/epoch", body, show::epoch)
            }
            Self::Feedback { id, verdict, cache } => {
                let mut body = Map::new();
                put(&mut body, "id", Some(id));
                put(&mut body, "verdict", Some(verdict));
                put(&mut body, "cache", cache.as_ref());
                Ask::post("/feedback", body, show::feedback)
            }
            Self::Curve { cache } => Ask::get(&format!("/{}/curve", escaped(cache)), show::curve),
        }
    }
}

impl Ask {
    fn get(path: &str, show: fn(&Value) -> String) -> Self {
        Self {
            method: "GET",
            path: format!("/api/v1/cache{path}"),
            body: None,
            show,
        }
    }

    fn post(path: &str, body: Map<String, Value>, show: fn(&Value) -> String) -> Self {
        Self {
            method: "POST",
            path: format!("/api/v1/cache{path}"),
            body: Some(Value::Object(body)),
            show,
        }
    }
}

impl Which {
    fn named(&self) -> [(&'static str, Option<&String>); 5] {
        [
            ("scope", self.scope.as_ref()),
            ("tenant", self.tenant.as_ref()),
            ("route", self.route.as_ref()),
            ("model", self.model.as_ref()),
            ("namespace", self.namespace.as_ref()),
        ]
    }

    fn query(&self) -> Vec<String> {
        let named = self.named().into_iter();
        let mut query: Vec<String> = named
            .filter_map(|(name, value)| Some(format!("{name}={}", escaped(value?))))
            .collect();
        let tags = self.tag.iter();
        query.extend(
            tags.map(|(name, value)| format!("tag={}", escaped(&format!("{name}={value}")))),
        );
        query
    }

    fn body(&self) -> Map<String, Value> {
        let mut body = Map::new();
        for (name, value) in self.named() {
            put(&mut body, name, value);
        }
        if !self.tag.is_empty() {
            let tags = self.tag.iter();
            let tags: Map<String, Value> = tags
                .map(|(name, value)| (name.clone(), json!(value)))
                .collect();
            body.insert("tags".to_owned(), Value::Object(tags));
        }
        body
    }
}

fn put<T: serde::Serialize>(body: &mut Map<String, Value>, name: &str, value: Option<&T>) {
    if let Some(value) = value {
        body.insert(name.to_owned(), json!(value));
    }
}

/// A part of a path or query, whatever is in it.
fn escaped(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

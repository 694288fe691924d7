//! `muster context`, `login` and `logout`: which hub, and as whom?

use std::io::Read as _;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;

use super::{Verdict, config_path, reach_as};
use crate::args::{ContextCommand, LoginArguments, Options};
use crate::config::{self, Config, Contexts, File, Oidc};
use crate::failure::Failure;
use crate::hub::Hub;
use crate::login;
use crate::output::{Printer, remark};
use crate::text::{Page, Table, Text, clean};

/// Longest token, in bytes.
const TOKEN_BYTES_MAX: u64 = 64 * 1024;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    name: String,
    current: bool,
    hub: String,
    /// `certificate`, `token`, `token file`, `OIDC` or `nothing`.
    by: &'static str,
}

#[derive(Serialize)]
struct List {
    contexts: Vec<Listed>,
}

pub(super) fn context(
    options: &Options,
    printer: Printer,
    command: ContextCommand,
) -> Result<Verdict, Failure> {
    let path = config_path(options)?;
    let invalid = |message: String| Failure::ConfigInvalid { path: path.clone(), message };
    match command {
        ContextCommand::List => list(config::load(&path)?, printer)?,
        ContextCommand::Use { name } => {
            let mut file = config::load(&path)?;
            file.choose(Some(&name)).map_err(invalid)?;
            let mut many = file.into_many();
            many.current_context.clone_from(&name);
            config::save(&path, &File::Many(many))?;
            remark(&format!("{} is current now\n", clean(&name)));
        }
        ContextCommand::Add { name, file, ca } => {
            let new = match (file, &options.hub, ca) {
                (Some(file), _, _) => config::load(&file)?.choose(None).map_err(invalid)?.clone(),
                (None, Some(hub), Some(ca)) => {
                    let ca = std::fs::read_to_string(&ca)
                        .map_err(|error| invalid(format!("{}: {error}", ca.display())))?;
                    Config { hub: hub.clone(), ca, ..Config::default() }
                }
                _ => return Err(invalid("give --file, or --hub and --ca".to_owned())),
            };
            let mut many = match config::load(&path) {
                Ok(file) => file.into_many(),
                Err(Failure::ConfigMissing { .. }) => Contexts::default(),
                Err(failure) => return Err(failure),
            };
            if many.current_context.is_empty() {
                many.current_context.clone_from(&name);
            }
            many.contexts.insert(name, new);
            config::save(&path, &File::Many(many))?;
        }
        ContextCommand::Remove { name } => {
            let mut file = config::load(&path)?;
            file.choose(Some(&name)).map_err(invalid)?;
            let mut many = file.into_many();
            many.contexts.remove(&name);
            if many.current_context == name {
                many.current_context.clear();
            }
            config::save(&path, &File::Many(many))?;
        }
    }
    Ok(Verdict::Well)
}

fn list(file: File, printer: Printer) -> Result<(), Failure> {
    let many = match file {
        File::Many(many) => many,
        one => one.into_many(),
    };
    let listed = many.contexts.iter().map(|(name, config)| Listed {
        name: name.clone(),
        current: *name == many.current_context,
        hub: config.hub.clone(),
        by: by(config),
    });
    let document = List { contexts: listed.collect() };
    printer.print(&document, |screen| {
        let mut table = Table::new(["", "CONTEXT", "HUB", "BY"]);
        for one in &document.contexts {
            let mark = if one.current { "*" } else { "" };
            table.row([
                Text::plain(mark),
                Text::plain(&one.name),
                Text::plain(&one.hub),
                Text::plain(one.by),
            ]);
        }
        let mut page = Page::new();
        page.table(&table, screen);
        page
    })
}

fn by(config: &Config) -> &'static str {
    match config {
        Config { oidc: Some(_), .. } => "OIDC",
        Config { token: Some(_), .. } => "token",
        Config { token_file: Some(_), .. } => "token file",
        Config { certificate, .. } if !certificate.is_empty() => "certificate",
        _ => "nothing",
    }
}

/// Gets a token, and keeps it once the hub has taken it.
pub(super) async fn login(options: &Options, arguments: &LoginArguments) -> Result<Verdict, Failure> {
    let path = config_path(options)?;
    let invalid = |message: String| Failure::ConfigInvalid { path: path.clone(), message };
    let mut file = config::load(&path)?;
    let config = file.choose(options.context.as_deref()).map_err(invalid)?;
    let (token, oidc) = match (&arguments.issuer, &arguments.client_id) {
        (Some(issuer), Some(client_id)) => {
            let (issuer, client_id) = (issuer.clone(), client_id.clone());
            let mut oidc =
                Oidc { issuer, client_id, ca_file: arguments.issuer_ca.clone(), refresh_token: None };
            let told = |text: &str| remark(&format!("{}\n", clean(text)));
            let tokens = login::device(&oidc, told).await.map_err(Failure::Login)?;
            oidc.refresh_token = tokens.refresh_token;
            (tokens.id_token, Some(oidc))
        }
        _ => (read_token(arguments.token_file.as_ref())?, None),
    };
    (config.token, config.oidc, config.token_file) = (Some(token), oidc, None);
    // The one that will be kept, whatever the environment has.
    let reach = reach_as(options, config, &path, config.bearer(None))?;
    let me = Hub::connect(reach, options.timeout).await?.who_am_i().await?;
    config::save(&path, &file)?;
    remark(&format!("Logged in as {}\n", clean(&me.actor)));
    Ok(Verdict::Well)
}

fn read_token(file: Option<&PathBuf>) -> Result<String, Failure> {
    let mut text = String::new();
    let read = match file {
        Some(file) => std::fs::File::open(file)
            .and_then(|file| file.take(TOKEN_BYTES_MAX).read_to_string(&mut text))
            .map_err(|error| format!("{}: {error}", file.display())),
        None => std::io::stdin()
            .take(TOKEN_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(|error| error.to_string()),
    };
    read.map_err(|error| Failure::Login(format!("the token cannot be read: {error}")))?;
    match text.trim() {
        "" => Err(Failure::Login("there is no token in what was read".to_owned())),
        token => Ok(token.to_owned()),
    }
}

/// Forgets the token of a context.
pub(super) fn logout(options: &Options) -> Result<Verdict, Failure> {
    let path = config_path(options)?;
    let mut file = config::load(&path)?;
    let chosen = file.choose(options.context.as_deref());
    let config = chosen.map_err(|message| Failure::ConfigInvalid { path: path.clone(), message })?;
    (config.token, config.oidc) = (None, None);
    config::save(&path, &file)?;
    Ok(Verdict::Well)
}

/// Renews the ID token of the context that is meant, when it is over.
pub(super) async fn renew(options: &Options) -> Result<(), Failure> {
    let path = config_path(options)?;
    let mut file = config::load(&path)?;
    let chosen = file.choose(options.context.as_deref());
    let config = chosen.map_err(|message| Failure::ConfigInvalid { path: path.clone(), message })?;
    let (Some(token), Some(oidc)) = (&config.token, &mut config.oidc) else { return Ok(()) };
    if !login::is_over(token, Timestamp::now()) {
        return Ok(());
    }
    // Without the next one the hub says that this one is over.
    let Some(tokens) = login::refresh(oidc).await.map_err(Failure::Login)? else { return Ok(()) };
    if let Some(refresh_token) = tokens.refresh_token {
        oidc.refresh_token = Some(refresh_token);
    }
    config.token = Some(tokens.id_token);
    config::save(&path, &file)
}

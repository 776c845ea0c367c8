//! `rapport serve`: the pages of the newest data, with filters and forms.
//!
//! - `lake_source`: the lake as the pages see it
//! - `decisions`: what people decide on the pages
//! - `saved_views`: the views of the list of partners that readers have saved
//! - `sql_process`: queries of people, each in a process of its own
//! - `sql_values`: the rows of their answers as JSON
//! - `postgres`: the connections of BI tools, with the feature of that name

mod decisions;
mod lake_source;
#[cfg(feature = "postgres")]
mod postgres;
mod saved_views;
mod sql_process;
mod sql_values;

use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use chrono::{TimeDelta, Utc};
use serve::{
    Access, Ancestors, EmbedSettings, People, ServeError, ServeOptions, Server, new_embed,
    new_password, new_token,
};
use tokio::task::JoinHandle;

use crate::args::{GivenRole, ServeArgs};
use crate::commands::score_records::{author, check_partner};
use crate::config::{Config, ServeSettings};
use crate::errors::usage_error;
use crate::output::{print_line, print_note};
use crate::project::Project;
use crate::{chromium_program, secret_settings, shutdown};

pub(crate) use lake_source::LakeSource;

/// The rows of partners in the reports of other days and filters that are kept: about 1 GiB.
const REPORT_ROWS: u64 = 6_000_000;
/// The bytes of rendered pages that are kept.
const PAGE_BYTES: u64 = 128 << 20;

/// Serves the pages until a signal comes.
pub(crate) async fn run(
    config: &Config,
    config_file: Option<&Path>,
    options: &ServeArgs,
) -> anyhow::Result<()> {
    let settings = config.serve();
    if let Some(role) = options.new_token {
        if let Some(partner) = &options.partner {
            check_token_partner(config_file, role, partner).await?;
        }
        return print_token(options, role);
    }
    if let Some(user) = &options.new_database_user {
        return print_database_user(options, user);
    }
    if let Some(partner) = &options.new_embed {
        check_known(config_file, partner).await?;
        return print_embed(config, &settings, partner, options.days);
    }
    let access = access(&settings)?;
    let serve_options = ServeOptions {
        address: parse_address(options.listen.as_deref().unwrap_or(&settings.listen))?,
        access,
        is_behind_tls: options.behind_tls || settings.is_behind_tls,
        secret: cookie_secret(config),
        refresh_every: settings.refresh_every,
        report_rows: REPORT_ROWS,
        page_bytes: PAGE_BYTES,
        chromium: chromium_program::find(settings.chromium.as_deref())?,
        limits: settings.limits,
        embed: EmbedSettings {
            ancestors: Ancestors::parse(&settings.embed_ancestors)
                .map_err(|e| usage_error(format!("[serve] embed_ancestors: {e}")))?,
            version: settings.embed_version,
        },
    };
    let source = Arc::new(LakeSource::new(config_file));
    let server = Server::start(source, &serve_options).await.map_err(|error| match error {
        ServeError::Unsafe(_) => usage_error(error.to_string()),
        _ => error.into(),
    })?;
    let bi_tools = serve_bi_tools(&settings, config_file, options, &serve_options, &server).await?;
    let address = server.address().unwrap_or(serve_options.address);
    print_line(&format!("Serving at http://{address}/"))?;
    if let Some(why) = server.missing_report() {
        print_note(&format!("There is nothing to show yet: {why}"));
    }
    if let Access::Owner(name) = &serve_options.access {
        print_note(&format!(
            "Whoever reaches this address on this machine may do everything, as {name}; people sign \
             in once there is {}",
            settings.access_path.display()
        ));
    }
    let reread = tokio::spawn(reread_access(settings, server.replace_access()));
    let served = server.run(shutdown::wait_for_signal()).await;
    reread.abort();
    if let Some(bi_tools) = bi_tools {
        bi_tools.abort();
    }
    Ok(served?)
}

/// Listens for BI tools, where the command line or the settings say so.
#[cfg(feature = "postgres")]
async fn serve_bi_tools(
    settings: &ServeSettings,
    config_file: Option<&Path>,
    options: &ServeArgs,
    serve_options: &ServeOptions,
    server: &Server,
) -> anyhow::Result<Option<JoinHandle<()>>> {
    let listen = options.postgres.as_deref().or(settings.postgres.listen.as_deref());
    let Some(listen) = listen else { return Ok(None) };
    let postgres_options = postgres::PostgresOptions {
        address: parse_listen_address("--postgres", listen)?,
        settings: settings.postgres.clone(),
        is_behind_tls: serve_options.is_behind_tls,
        config_file: config_file.map(Path::to_owned),
    };
    let access = &serve_options.access;
    let listening =
        postgres::PostgresServer::start(postgres_options, access, server.database_access()).await?;
    print_line(&format!("BI tools connect to postgresql://{}/rapport", listening.address()?))?;
    Ok(Some(tokio::spawn(listening.run())))
}

/// Refuses to listen for BI tools: the code for them was left out of this program.
#[cfg(not(feature = "postgres"))]
async fn serve_bi_tools(
    settings: &ServeSettings,
    _config_file: Option<&Path>,
    options: &ServeArgs,
    _serve_options: &ServeOptions,
    _server: &Server,
) -> anyhow::Result<Option<JoinHandle<()>>> {
    if options.postgres.is_none() && settings.postgres.listen.is_none() {
        return Ok(None);
    }
    Err(usage_error(
        "this program was built without BI tools: build it with `cargo build --release --features \
         postgres`, or leave out --postgres and [serve.postgres] listen",
    ))
}

/// Reads who may sign in again and again, so that a token can be taken away without a restart.
async fn reread_access(settings: ServeSettings, replace: impl Fn(Access)) {
    const EVERY: Duration = Duration::from_secs(10);
    loop {
        tokio::time::sleep(EVERY).await;
        // A file that is gone or wrong lets nobody in who could not come in before.
        match access(&settings) {
            Ok(access @ Access::People(_)) => replace(access),
            Ok(Access::Owner(_)) => {}
            Err(error) => tracing::warn!(%error, "who may sign in stays as it was"),
        }
    }
}

/// Returns who is let in.
pub(crate) fn access(settings: &ServeSettings) -> anyhow::Result<Access> {
    let Some(path) = &settings.access else {
        // A container may name no user.
        let name = author(None).unwrap_or_else(|_| "local user".to_owned());
        return Ok(Access::Owner(name));
    };
    let text = std::fs::read_to_string(path)
        .map_err(|e| usage_error(format!("{} can't be read: {e}", path.display())))?;
    let mut people =
        People::parse(&text).map_err(|e| usage_error(format!("{}: {e}", path.display())))?;
    if let Some(place) = people.openid().and_then(|openid| openid.client_secret.clone()) {
        let folder = path.parent().unwrap_or(Path::new("."));
        let name = format!("{}: [openid] client_secret", path.display());
        people.set_openid_secret(secret_settings::resolve(&name, &place, folder)?);
    }
    Ok(Access::People(people))
}

/// Returns the secret that cookies are signed with, derived from the lake's key. A lake whose key
/// can't be read has none, and people sign in again after a restart.
fn cookie_secret(config: &Config) -> Option<Vec<u8>> {
    let key = std::fs::read(config.lake().key_file).ok().filter(|key| key.len() >= 16)?;
    let text = [b"rapport serve cookies\n".as_slice(), &key].concat();
    Some(lake::sha256_hex(&text).into_bytes())
}

/// Checks the partner that a token is made for.
async fn check_token_partner(
    config_file: Option<&Path>,
    role: GivenRole,
    partner: &str,
) -> anyhow::Result<()> {
    if role != GivenRole::Partner {
        return Err(usage_error("--partner belongs to --new-token partner; leave it out"));
    }
    check_known(config_file, partner).await
}

/// Checks that the lake knows a partner. Another one has no usage to show.
async fn check_known(config_file: Option<&Path>, partner: &str) -> anyhow::Result<()> {
    let project = Project::open(Config::find(config_file)?, true).await?;
    check_partner(&project, partner).await
}

/// Makes a token and prints its entry for the file of access, and on stderr the token.
fn print_token(options: &ServeArgs, role: GivenRole) -> anyhow::Result<()> {
    let made = new_token();
    let name = options.name.as_deref().context("--new-token needs --name")?;
    let role = match role {
        GivenRole::Leadership => "leadership",
        GivenRole::Manager => "manager",
        GivenRole::Engineer => "engineer",
        GivenRole::Partner => "partner",
    };
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    print_line("[[people]]")?;
    print_line(&format!("name = {}", quoted(name)))?;
    print_line(&format!("role = {}", quoted(role)))?;
    if let Some(partner) = &options.partner {
        print_line(&format!("partner = {}", quoted(partner)))?;
    }
    if let Some(until) = options.until {
        print_line(&format!("until = {}", quoted(&until.to_string())))?;
    }
    print_line(&format!("token_sha256 = {}", quoted(&made.sha256)))?;
    print_note(&format!(
        "The token of {name}, which is shown only now: {}\nAdd the lines to access.toml",
        made.token
    ));
    Ok(())
}

/// Makes a password for BI tools and prints its entry for the file of access, and on stderr the
/// password.
fn print_database_user(options: &ServeArgs, user: &str) -> anyhow::Result<()> {
    let made = new_password();
    let name = options.name.as_deref().context("--new-database-user needs --name")?;
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    print_line("[[people]]")?;
    print_line(&format!("name = {}", quoted(name)))?;
    print_line("role = \"engineer\"")?;
    if let Some(until) = options.until {
        print_line(&format!("until = {}", quoted(&until.to_string())))?;
    }
    print_line(&format!("database_user = {}", quoted(user)))?;
    print_line(&format!("database_verifier = {}", quoted(&made.verifier.to_string())))?;
    print_note(&format!(
        "The password of {user}, which is shown only now: {}\nAdd the lines to access.toml",
        made.password
    ));
    Ok(())
}

/// Prints a URL of the usage page of a partner.
fn print_embed(
    config: &Config,
    settings: &ServeSettings,
    partner: &str,
    days: u32,
) -> anyhow::Result<()> {
    let secret = cookie_secret(config).with_context(|| {
        format!(
            "the key of the lake, {}, can't be read, and URLs are signed by it",
            config.lake().key_file.display()
        )
    })?;
    let until = Utc::now() + TimeDelta::days(days.into());
    let base = match &settings.public_url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => format!("http://{}", parse_address(&settings.listen)?),
    };
    print_line(&format!("{base}{}", new_embed(&secret, settings.embed_version, partner, until)))?;
    let sites = match settings.embed_ancestors.as_slice() {
        [] => "No site may show it inside its pages: [serve] embed_ancestors names none".to_owned(),
        sites => format!("Pages of {} may show it inside them", sites.join(", ")),
    };
    print_note(&format!(
        "Whoever has this URL sees the usage of {partner} until {} UTC. {sites}",
        until.format("%Y-%m-%d %H:%M")
    ));
    Ok(())
}

/// Parses the address to listen at. A port alone, or `:port`, is on 127.0.0.1.
fn parse_address(text: &str) -> anyhow::Result<SocketAddr> {
    parse_listen_address("--listen", text)
}

/// Parses the address that an option names.
fn parse_listen_address(option: &str, text: &str) -> anyhow::Result<SocketAddr> {
    if let Ok(port) = text.trim_start_matches(':').parse::<u16>() {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    text.to_socket_addrs().ok().and_then(|mut all| all.next()).ok_or_else(|| {
        usage_error(format!(
            "{option} \"{text}\": give an address and a port, 127.0.0.1:8080, or a port"
        ))
    })
}

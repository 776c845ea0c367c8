//! The pages of the report, and the data behind them.

use std::sync::Arc;
use std::sync::LazyLock;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::header::HOST;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::cookie::SignedCookieJar;
use dashboards::{LiveOutage, LivePage, PartnerListQuery, Report, SqlPage, chart_file};
use serde::Deserialize;

use crate::access::role::Permission;
use crate::answer::{self, Refusal};
use crate::routes::reader::Reader;
use crate::routes::sign_in::own_path;
use crate::server::App;
use crate::view::{FILTERS, View};

type Answer = Result<Response, Refusal>;

pub(super) async fn style() -> Response {
    static STYLE: LazyLock<String> = LazyLock::new(dashboards::stylesheet);
    answer::asset("text/css; charset=utf-8", &STYLE)
}

pub(super) async fn script() -> Response {
    answer::asset("text/javascript; charset=utf-8", dashboards::script())
}

/// A request for a page.
struct PageRequest {
    app: Arc<App>,
    reader: Reader,
    headers: HeaderMap,
    query: String,
    view: View,
}

/// The parts of a request that a page needs.
pub(super) type Parts = (State<Arc<App>>, Extension<Reader>, HeaderMap, Uri);

impl PageRequest {
    fn new((State(app), Extension(reader), headers, uri): Parts) -> Result<Self, Refusal> {
        let view = view_of_path(&uri)?;
        Ok(Self { app, reader, headers, query: uri.query().unwrap_or_default().to_owned(), view })
    }

    /// Answers with a page of the report.
    async fn page(self, path: &str) -> Answer {
        let parameters = parameters(&self.query);
        let own: &[&str] = if path == LIST { &PartnerListQuery::PARAMETERS } else { &[] };
        check_names(&parameters, &[OF_FILES, own].concat())?;
        if let Some(redirect) = to_view(&parameters, path)? {
            return Ok(redirect);
        }
        let list = list_query(&parameters)?;
        let view = self.reader.restricted(self.view.clone());
        let report = self.app.reports.report(&view).await?;
        let jar = SignedCookieJar::from_headers(&self.headers, self.app.cookies.key.clone());
        let (jar, notice) = self.app.cookies.take_notice(jar);
        let saved_views = match path == LIST {
            true => self.app.saved_views(&self.reader.person.name).await,
            false => Vec::new(),
        };
        let live = LivePage {
            notice,
            list,
            saved_views,
            ..live_page(&self.app, &self.reader, &self.view, path, &report)
        };
        let value = |name: &str| {
            parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
        };
        match (value("as"), value("chart")) {
            (Some(format), chart) => return self.exported(&view, path, live, format, chart).await,
            (None, Some(_)) => return Err(Refusal::invalid("chart needs as=svg or as=png")),
            (None, None) => {}
        }
        let page = self.app.reports.page(&view, path, &live).await?;
        let page = page.ok_or_else(Refusal::not_found)?;
        let answer = answer::page(&page, &self.headers);
        Ok(if live.notice.is_some() { (jar, answer).into_response() } else { answer })
    }

    /// Answers with a page or a chart of it as a file.
    async fn exported(
        &self,
        view: &View,
        path: &str,
        live: LivePage,
        format: &str,
        chart: Option<&str>,
    ) -> Answer {
        if !["pdf", "svg", "png"].contains(&format) {
            let why = format!(
                "as \"{format}\" is unknown; a page is there as pdf, a chart as svg or png"
            );
            return Err(Refusal::invalid(why));
        }
        let url = self.own_url().unwrap_or_default();
        let printed_from = (format == "pdf").then(|| format!("{url}{}", self.view.path(path)));
        let live = LivePage { notice: None, printed_from, ..live };
        let page = self.app.reports.page(view, path, &live).await?;
        let page = page.ok_or_else(Refusal::not_found)?;
        let name = path.trim_end_matches(".html").replace('/', "-");
        if format == "pdf" {
            let pdf = self.app.chromium.pdf(&page.html).await?;
            return Ok(answer::file("application/pdf", &format!("{name}.pdf"), pdf));
        }
        let html = String::from_utf8_lossy(&page.html);
        let is_id = |section: &&str| section.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        let chart = chart.filter(is_id);
        let chart = chart.and_then(|section| Some((section, chart_file(&html, section)?)));
        let (section, chart) = chart.ok_or_else(Refusal::not_found)?;
        let name = format!("{name}-{section}.{format}");
        match format {
            "svg" => Ok(answer::file("image/svg+xml", &name, chart.svg)),
            _ => Ok(answer::file("image/png", &name, self.app.chromium.png(&chart).await?)),
        }
    }

    /// Returns the URL of this server as the reader's browser has it, without a slash at the end.
    fn own_url(&self) -> Option<String> {
        let host = self.headers.get(HOST)?.to_str().ok()?;
        let scheme = if self.app.is_behind_tls { "https" } else { "http" };
        Some(format!("{scheme}://{host}"))
    }

    /// Answers with the data behind a page.
    async fn data(self, file: &str) -> Answer {
        let parameters = parameters(&self.query);
        check_names(&parameters, &[])?;
        if let Some(redirect) = to_view(&parameters, &format!("data/{file}"))? {
            return Ok(redirect);
        }
        let view = self.reader.restricted(self.view.clone());
        let report = self.app.reports.report(&view).await?;
        if let Some(name) = file.strip_suffix(".csv")
            && let Some(csv) = report.input().csv.get(name)
        {
            return Ok(answer::file("text/csv; charset=utf-8", file, csv.clone()));
        }
        if let Some(name) = file.strip_suffix(".csv-metadata.json")
            && let Some(metadata) = report.csv_metadata(name)
        {
            return Ok(answer::file("application/csvm+json", file, metadata));
        }
        if let Some(name) = file.strip_suffix(".parquet")
            && let Some(rows) = report.input().parquet.get(name)
        {
            return Ok(answer::file("application/vnd.apache.parquet", file, rows.clone()));
        }
        Err(Refusal::not_found())
    }
}

/// Returns the view that the path of a URL names, or the standard view.
pub(super) fn view_of_path(uri: &Uri) -> Result<View, Refusal> {
    let rest = uri.path().strip_prefix("/view/");
    // The segment is read as it stands in the URL: an escaped `&` is part of a value.
    let segment = rest.and_then(|rest| rest.split('/').next()).unwrap_or_default();
    View::of_segment(segment).map_err(Refusal::invalid)
}

/// Returns what a page shows besides its report, without what the query of the URL asks for.
pub(super) fn live_page(
    app: &App,
    reader: &Reader,
    asked: &View,
    path: &str,
    report: &Report,
) -> LivePage {
    let newest = app.reports.newest();
    let mut choices = newest.map(|newest| Arc::clone(&newest.choices)).unwrap_or_default();
    if reader.person.only_manager().is_some() {
        // A manager sees its own partners, and can choose no others.
        Arc::make_mut(&mut choices).remove("manager");
    }
    let pinned = View {
        as_of: Some(report.input().as_of),
        run: report.input().run.clone(),
        filters: asked.filters.clone(),
        comparison: asked.comparison,
        grain: asked.grain,
    };
    let filters = asked.filters.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    let can_ask = reader.may(Permission::Sql);
    let sql = can_ask
        .then(|| SqlPage { history: app.histories.of(&reader.person.name), ..SqlPage::default() });
    LivePage {
        filters: filters.collect(),
        choices,
        is_day_chosen: asked.as_of.is_some(),
        comparison: asked.comparison,
        grain: asked.grain,
        permalink: pinned.path(path),
        view_segment: asked.segment(),
        unfiltered: View::default().path(path),
        can_decide: reader.may(Permission::Decide) && !asked.is_pinned(),
        decides_for_all: reader.person.only_manager().is_none(),
        is_signed_in: reader.is_signed_in,
        outage: app.reports.outage().map(|o| LiveOutage { since: o.since, why: o.why }),
        can_ask,
        can_print: app.chromium.is_installed(),
        sql: sql.filter(|_| path == "ask.html"),
        ..LivePage::default()
    }
}

/// The parameters of a view besides the attributes of partners.
const OF_VIEW: &[&str] = &["as_of", "run", "compare", "grain"];
/// The parameters by which a page or a chart of it is a file.
const OF_FILES: &[&str] = &["as", "chart"];

/// Returns whether a parameter restricts the report.
fn is_of_view(name: &str) -> bool {
    OF_VIEW.contains(&name) || FILTERS.contains(&name)
}

/// Refuses a parameter that neither is of a view nor belongs to the page: the page would look as if it
/// had counted.
fn check_names(parameters: &[(String, String)], own: &[&str]) -> Result<(), Refusal> {
    let is_unknown = |name: &str| !is_of_view(name) && !own.contains(&name);
    let Some((name, _)) = parameters.iter().find(|(name, _)| is_unknown(name)) else {
        return Ok(());
    };
    let known = [OF_VIEW, &FILTERS, own].concat().join(", ");
    Err(Refusal::invalid(format!("There is no parameter \"{name}\" here; there are {known}")))
}

/// Leads to the view that a query names, if it names one: a filter goes into the path, where the links
/// of the page keep it, and all else stays. The form of a page has all filters, and replaces those of
/// the path.
fn to_view(parameters: &[(String, String)], path: &str) -> Result<Option<Response>, Refusal> {
    let pairs = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let (of_view, others): (Vec<_>, Vec<_>) = pairs.partition(|(name, _)| is_of_view(name));
    if of_view.is_empty() {
        return Ok(None);
    }
    let view = View::of_parameters(of_view).map_err(Refusal::invalid)?;
    let mut target = view.path(path);
    if !others.is_empty() {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(others);
        target = format!("{target}?{}", query.finish());
    }
    // An escaped slash at the start of the path would lead to another server.
    Ok(Some(Redirect::to(own_path(&target)).into_response()))
}

/// Returns the parameters of a query.
pub(super) fn parameters(query: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

/// Returns which partners a list shows.
pub(super) fn list_query(parameters: &[(String, String)]) -> Result<PartnerListQuery, Refusal> {
    let pairs = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    PartnerListQuery::of_parameters(pairs).map_err(Refusal::invalid)
}

const INDEX: &str = "index.html";
/// The page with the list of partners.
pub(super) const LIST: &str = "partners.html";

/// The variables of a path. A view before them is read from the URL as it stands.
#[derive(Deserialize)]
pub(super) struct Page {
    page: String,
}

#[derive(Deserialize)]
pub(super) struct File {
    file: String,
}

pub(super) async fn index(parts: Parts) -> Answer {
    PageRequest::new(parts)?.page(INDEX).await
}

/// Answers with the page of SQL, whose form has the same address.
pub(super) async fn ask(parts: Parts) -> Answer {
    PageRequest::new(parts)?.page("ask.html").await
}

pub(super) async fn page(parts: Parts, Path(path): Path<Page>) -> Answer {
    PageRequest::new(parts)?.page(&path.page).await
}

pub(super) async fn partner(parts: Parts, Path(path): Path<File>) -> Answer {
    PageRequest::new(parts)?.page(&format!("partners/{}", path.file)).await
}

pub(super) async fn query(parts: Parts, Path(path): Path<File>) -> Answer {
    PageRequest::new(parts)?.page(&format!("sql/{}", path.file)).await
}

pub(super) async fn data(parts: Parts, Path(path): Path<File>) -> Answer {
    PageRequest::new(parts)?.data(&path.file).await
}

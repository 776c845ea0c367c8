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
        // A filter that stands in the query goes into the path, where the links of the page keep
        // it. The form of the page has all filters, and replaces those of the path.
        if parameters.iter().any(|(name, _)| is_of_view(name)) {
            let view = View::of_parameters(
                parameters
                    .iter()
                    .filter(|(name, _)| is_of_view(name))
                    .map(|(n, v)| (n.as_str(), v.as_str())),
            );
            let view = view.map_err(Refusal::invalid)?;
            return Ok(Redirect::to(&view.path(path)).into_response());
        }
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
            list: list_query(&parameters),
            saved_views,
            ..live_page(&self.app, &self.reader, &self.view, path, &report)
        };
        if let Some(format) = parameters.iter().find(|(name, _)| name == "as") {
            let chart = parameters.iter().find(|(name, _)| name == "chart");
            let chart = chart.map(|(_, section)| section.as_str());
            return self.exported(&view, path, live, &format.1, chart).await;
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
            "png" => Ok(answer::file("image/png", &name, self.app.chromium.png(&chart).await?)),
            _ => Err(Refusal::invalid("A page is there as pdf, a chart as svg or png")),
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

/// Returns whether a parameter restricts the report.
fn is_of_view(name: &str) -> bool {
    ["as_of", "run", "compare", "grain"].contains(&name) || FILTERS.contains(&name)
}

/// Returns the parameters of a query.
pub(super) fn parameters(query: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

/// Returns which partners a list shows.
pub(super) fn list_query(parameters: &[(String, String)]) -> PartnerListQuery {
    PartnerListQuery::of_parameters(parameters.iter().map(|(n, v)| (n.as_str(), v.as_str())))
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

//! Charts of served pages by day, week and month: the URL keeps the grain, and the figures are those of
//! SQL.

use std::collections::BTreeMap;

use crate::support::action_project::project_with_gaps;
use crate::support::page_server::PageServer;
use crate::support::program::Project;

/// The sums of a table: by period, the calls, successes and throttled calls.
type Sums = BTreeMap<String, [i64; 3]>;

/// Returns the sums of all partners in a CSV of traffic, by the column of its period.
fn sums_of_csv(text: &str, period: &str) -> Sums {
    let mut rows = csv::Reader::from_reader(text.as_bytes());
    let headers = rows.headers().expect("a heading").clone();
    let column = |name: &str| {
        let found = headers.iter().position(|header| header == name);
        found.unwrap_or_else(|| panic!("no column {name} in {headers:?}"))
    };
    let period = column(period);
    let counts = ["calls", "successes", "throttled"].map(column);
    let mut sums = Sums::new();
    for row in rows.records() {
        let row = row.expect("a row");
        let sum = sums.entry(row[period].to_owned()).or_default();
        for (sum, at) in sum.iter_mut().zip(counts) {
            *sum += row[at].parse::<i64>().expect("a count");
        }
    }
    sums
}

/// Returns the same sums by a query of the calls.
fn sums_of_sql(project: &Project, first: &str, since: &str) -> Sums {
    let query = format!(
        "SELECT {first} AS period, sum(calls) AS calls, sum(successes) AS successes, \
         sum(throttled) AS throttled FROM usage_day WHERE environment = 'production' \
         AND {first} >= {since} GROUP BY 1"
    );
    let text = project.run_ok(&["sql", &query, "--format", "csv"]);
    sums_of_csv(&text, "period")
}

#[test]
fn charts_by_week_and_month_are_the_sums_of_sql() {
    let project = project_with_gaps(|_, _| false);
    let server = PageServer::start(&project);
    let as_of = "(SELECT max(event_date) FROM usage_day)";
    let monday = "CAST(date_trunc('week', event_date) AS DATE)";
    for (grain, column, first, since) in [
        ("week", "week", monday, format!("date_trunc('week', {as_of}) - INTERVAL '84 days'")),
        ("month", "month", "month_start(event_date)", "DATE '2000-01-01'".to_owned()),
        ("day", "event_date", "event_date", "DATE '2000-01-01'".to_owned()),
    ] {
        // The form leads to the path that keeps the grain, and every link of the page starts there.
        let found = server.get(&format!("/service.html?grain={grain}"));
        let path = format!("/view/grain={grain}/service.html");
        assert_eq!((found.status, found.location.as_str()), (303, &*path), "{}", found.text);
        let page = server.get(&path);
        assert_eq!(page.status, 200, "{}", page.text);
        assert!(page.text.contains(&format!("by {grain}.")), "{}", page.text);
        let (_, csv) = page.text.split_once("href=\"data/partner_traffic").expect("a CSV");
        let csv = format!("data/partner_traffic{}", csv.split('"').next().unwrap_or_default());
        let csv = server.get(&format!("/view/grain={grain}/{csv}"));
        let expected = sums_of_sql(&project, first, &since);
        assert!(!expected.is_empty());
        assert_eq!(sums_of_csv(&csv.text, column), expected, "by {grain}");
        let api = server.get(&format!("/api/v1/metrics/partner_traffic?grain={grain}&format=csv"));
        assert_eq!(sums_of_csv(&api.text, column), expected, "by {grain} in the API");
        // The numbers under the chart are the same ones.
        let (newest, calls) = expected.last_key_value().expect("a period");
        let cell = format!("<td class=\"num\">{}</td>", calls[0]);
        assert!(page.text.replace(',', "").contains(&cell), "{newest}: {cell} in {}", page.text);
    }
}

#[test]
fn the_grain_stays_in_the_url_and_in_files() {
    let project = project_with_gaps(|_, _| false);
    let server = PageServer::start(&project);
    for path in ["/service.html?grain=fortnight", "/view/grain=fortnight/service.html"] {
        let wrong = server.get(path);
        assert_eq!(wrong.status, 400, "{}", wrong.text);
        assert!(wrong.text.contains("there are day, week and month"), "{}", wrong.text);
    }
    let wrong = server.get("/api/v1/metrics/partner_traffic?grain=year");
    assert!(wrong.status == 400 && wrong.text.contains("day, week and month"), "{}", wrong.text);
    let own = server.get("/api/v1/metrics/growth?grain=week");
    assert!(own.status == 400 && own.text.contains("its own grain only"), "{}", own.text);
    let by = |grain: &str| server.get(&format!("/view/grain={grain}/service.html")).text;
    let (own, week, month) = (server.get("/service.html").text, by("week"), by("month"));
    assert!(own.contains("60 days to") && !own.contains("grain="), "{own}");
    assert!(week.contains("13 weeks to") && month.contains("13 months to"), "{week}");
    let (_, link) = week.split_once("class=\"data\" href=\"/view/").expect("a permalink");
    let link = link.split('"').next().unwrap_or_default().replace("&amp;", "&");
    assert!(link.contains("run=") && link.contains("grain=week"), "{link}");
    let again = server.get(&format!("/view/{link}"));
    assert!(again.status == 200 && again.text.contains("13 weeks to"), "{}", again.text);
    let drawing = server.get("/view/grain=month/service.html?chart=traffic&as=svg");
    assert!(drawing.status == 200 && drawing.text.contains("Calls by month"), "{}", drawing.text);
    // Whoever chooses another filter keeps the grain, also on a page without such charts.
    let funnel = server.get("/view/grain=week/funnel.html").text;
    assert!(funnel.contains("type=\"hidden\" name=\"grain\" value=\"week\""), "{funnel}");
}

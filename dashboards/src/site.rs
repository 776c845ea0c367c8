//! What a site of pages is: its list of pages, and the input that each page is rendered from.

use crate::comparison::Comparison;
use crate::grain::Grain;
use crate::input::ReportInput;
use crate::live_page::LivePage;
use crate::partner_index::PartnerRows;

/// A set of pages that are written and linked together.
pub(crate) struct Site {
    /// The pages in the order in which they stand in the navigation.
    pub pages: &'static [PageDef],
    /// Whether the pages show figures of a lake. Only then do they say how fresh these are.
    pub has_figures: bool,
}

/// One line of a list of pages: a page, or a family of pages such as one for each partner.
pub(crate) struct PageDef {
    /// The name by which other lines refer to this one.
    pub name: &'static str,
    /// The heading of the page, and the text of its link in the navigation.
    pub title: &'static str,
    /// The file of the page. For a family it is the first file, or the folder of all of them.
    pub file: &'static str,
    pub navigation: Navigation,
    pub render: Render,
    /// Whether the page is served only, because it is made for each request.
    pub is_live: bool,
}

impl PageDef {
    /// Returns the line of a page that is served and not written to a file.
    pub(crate) const fn only_live(self) -> Self {
        Self { is_live: true, ..self }
    }
}

/// The place of a page in the navigation.
pub(crate) enum Navigation {
    /// The page has a link of its own in the group with this heading.
    Group(&'static str),
    /// The page has no link. The link of its parent, given by name, is marked as current.
    Parent(&'static str),
}

/// The function that renders a page.
pub(crate) enum Render {
    /// Returns the HTML of the one page.
    Single(fn(&PageContext) -> String),
    /// Returns the HTML of each of several pages.
    Family(Family),
}

/// The functions that render the pages of a family.
#[derive(Clone, Copy)]
pub(crate) struct Family {
    /// Returns all pages. A report of many partners never holds all of them in memory.
    pub all: for<'a> fn(&'a PageContext<'a>) -> LazyPages<'a>,
    /// Returns the HTML of the page at a path, if there is one. A served page is found and rendered
    /// without the others.
    pub at: fn(&PageContext, &str) -> Option<String>,
}

/// A page that is rendered when it is wanted.
pub(crate) struct LazyPage<'a> {
    /// The path in the folder.
    pub path: String,
    pub render: Box<dyn FnOnce() -> String + Send + 'a>,
}

/// The pages of a family.
pub(crate) type LazyPages<'a> = Box<dyn Iterator<Item = LazyPage<'a>> + Send + 'a>;

/// What a page is rendered from.
pub(crate) struct PageContext<'a> {
    pub input: &'a ReportInput,
    pub partners: PartnerRows<'a>,
    pub site: &'static Site,
    pub page: &'static PageDef,
    /// What a served page has more than a file. `None`: the page is a file.
    pub live: Option<&'a LivePage>,
}

/// Returns a line for one page.
pub(crate) const fn single(
    name: &'static str,
    title: &'static str,
    file: &'static str,
    navigation: Navigation,
    render: fn(&PageContext) -> String,
) -> PageDef {
    PageDef { name, title, file, navigation, render: Render::Single(render), is_live: false }
}

/// Returns a line for a family of pages.
pub(crate) const fn family(
    name: &'static str,
    title: &'static str,
    file: &'static str,
    navigation: Navigation,
    render: Family,
) -> PageDef {
    PageDef { name, title, file, navigation, render: Render::Family(render), is_live: false }
}

/// Returns all pages that these contexts are of.
pub(crate) fn lazy_pages<'a>(
    contexts: &'a [PageContext<'a>],
) -> impl Iterator<Item = LazyPage<'a>> + Send {
    contexts.iter().flat_map(|context| match context.page.render {
        Render::Single(render) => {
            let path = context.page.file.to_owned();
            let page = LazyPage { path, render: Box::new(move || render(context)) };
            Box::new(std::iter::once(page)) as LazyPages
        }
        Render::Family(family) => (family.all)(context),
    })
}

impl Site {
    /// Returns the groups of the navigation, each with its heading and its pages. Files have no link to a page
    /// that is only served.
    pub(crate) fn navigation(&self, is_live: bool) -> Vec<(&'static str, Vec<&'static PageDef>)> {
        let mut groups: Vec<(&'static str, Vec<&'static PageDef>)> = Vec::new();
        for page in self.pages.iter().filter(|page| is_live || !page.is_live) {
            let Navigation::Group(heading) = page.navigation else { continue };
            match groups.last_mut() {
                Some((last, pages)) if *last == heading => pages.push(page),
                _ => groups.push((heading, vec![page])),
            }
        }
        groups
    }

    /// Returns what each line of the list of pages is rendered from, without those that are only served.
    pub(crate) fn contexts<'a>(&'static self, partners: PartnerRows<'a>) -> Vec<PageContext<'a>> {
        let files = self.pages.iter().filter(|page| !page.is_live);
        files.map(|page| self.context(partners, page, None)).collect()
    }

    /// Renders the page at a path in the folder. Returns `None` if there is no such page.
    pub(crate) fn page_at(
        &'static self,
        partners: PartnerRows,
        path: &str,
        live: Option<&LivePage>,
    ) -> Option<String> {
        self.pages.iter().find_map(|page| {
            let context = self.context(partners, page, live);
            match page.render {
                Render::Single(render) => (page.file == path).then(|| render(&context)),
                Render::Family(family) => (family.at)(&context, path),
            }
        })
    }

    fn context<'a>(
        &'static self,
        partners: PartnerRows<'a>,
        page: &'static PageDef,
        live: Option<&'a LivePage>,
    ) -> PageContext<'a> {
        PageContext { input: partners.input, partners, site: self, page, live }
    }
}

impl PageContext<'_> {
    /// Returns what the tiles compare their figures with.
    pub(crate) fn comparison(&self) -> Comparison {
        self.live.map_or_else(Comparison::default, |live| live.comparison)
    }

    /// Returns the grain that the reader chose for charts over time.
    pub(crate) fn grain(&self) -> Option<Grain> {
        self.live.and_then(|live| live.grain)
    }

    /// Returns the page whose link in the navigation is the current one: the page itself, or its
    /// parent.
    pub(crate) fn current_link(&self) -> &'static PageDef {
        match self.page.navigation {
            Navigation::Group(_) => self.page,
            Navigation::Parent(name) => {
                let parent = self.site.pages.iter().find(|page| page.name == name);
                parent.unwrap_or(self.page)
            }
        }
    }
}

//! Lists: pages, limits and cursors.

use std::borrow::Cow;

use serde::Serialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    ArrayBuilder, ObjectBuilder, OneOfBuilder, Ref, Schema, SchemaType, Type,
};
use utoipa::{PartialSchema, ToSchema};

use crate::store::{self, Cursor, PAGE_LIMIT, PageAsk};

/// One page of a list.
#[derive(Clone, Debug, Serialize)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Where the next page starts; null on the last one. A page may hold fewer entries than
    /// asked, even none, and still have a next one.
    pub next: Option<String>,
    /// How many entries all pages have together, where that is known without counting them.
    pub total: Option<Total>,
}

// By hand: the derived name would be the same for every list.
impl<T: ToSchema> PartialSchema for Page<T> {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
            .max_length(Some(2048))
            .description(Some(
                "Where the next page starts; null on the last one. A page may hold fewer entries \
                 than asked, even none, and still have a next one.",
            ));
        let total = OneOfBuilder::new()
            .item(ObjectBuilder::new().schema_type(Type::Null))
            .item(Ref::from_schema_name("Total"))
            .description(Some(
                "How many entries all pages have together, where that is known without counting \
                 them.",
            ));
        ObjectBuilder::new()
            .description(Some("One page of a list."))
            .property("items", ArrayBuilder::new().items(Ref::from_schema_name(T::name())))
            .property("next", text)
            .property("total", total)
            .into()
    }
}

impl<T: ToSchema> ToSchema for Page<T> {
    fn name() -> Cow<'static, str> {
        format!("{}Page", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        T::schemas(schemas);
        schemas.push((T::name().into_owned(), T::schema()));
        schemas.push((Total::name().into_owned(), Total::schema()));
    }
}

/// Size of a whole list.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Total {
    #[schema(example = 1204)]
    pub value: u64,
    /// False where `value` is only an upper bound.
    pub exact: bool,
}

impl<T> Page<T> {
    /// A list that always fits one page.
    pub fn whole(items: Vec<T>) -> Self {
        let total = Some(Total { value: items.len() as u64, exact: true });
        Self { items, next: None, total }
    }

    pub fn of<S: Into<T>>(page: store::Page<S>) -> Self {
        Self::map(page, Into::into)
    }

    pub fn map<S>(page: store::Page<S>, form: impl Fn(S) -> T) -> Self {
        Self {
            items: page.items.into_iter().map(form).collect(),
            next: page.next.map(|it| it.0),
            total: None,
        }
    }
}

pub fn page_ask(cursor: Option<String>, limit: Option<u32>) -> PageAsk {
    PageAsk { after: cursor.map(Cursor), limit: limit.unwrap_or(PAGE_LIMIT) }
}

/// Query of a list: the given filters, `cursor` and `limit`.
macro_rules! list_query {
    ($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, serde::Deserialize, utoipa::ToSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$fdoc])* pub $field: Option<$type>,)*
            /// `next` of the page before.
            #[schema(min_length = 1, max_length = 2048)]
            pub cursor: Option<String>,
            /// Most entries of the page; 50 unless given.
            #[schema(minimum = 1, maximum = 200)]
            pub limit: Option<u32>,
        }

        impl $name {
            pub fn page(&self) -> $crate::store::PageAsk {
                $crate::api::page::page_ask(self.cursor.clone(), self.limit)
            }
        }
    };
}
pub(crate) use list_query;

list_query! {
    /// A list without filters.
    PlainQuery {}
}

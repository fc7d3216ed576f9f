//! The expansion of `#[plugin]`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Attribute, Error, ImplItem, ImplItemFn, ItemImpl, LitStr, Result, parse_quote};

use crate::attributes::{Arguments, doc};
use crate::item::Signature;

const KINDS: [&str; 8] =
    ["tool", "resource", "resource_template", "prompt", "complete", "resources", "read", "watch"];

pub(crate) fn plugin(arguments: TokenStream, block: TokenStream) -> Result<TokenStream> {
    let mut arguments = Arguments::parse(arguments)?;
    let mut block: ItemImpl = syn::parse2(block)?;
    let required = |text: Option<LitStr>, name: &str| {
        text.ok_or_else(|| {
            Error::new(
                proc_macro2::Span::call_site(),
                format!("`#[plugin]` needs `{name} = \"…\"`"),
            )
        })
    };
    let id = required(arguments.take_text("id")?, "id")?;
    let description = required(arguments.take_text("description")?, "description")?;
    let config = arguments
        .take("config")
        .map_or_else(|| quote!(::plugin_sdk::NoConfig), |config| quote!(#config));
    let instructions = arguments.take_text("instructions")?;
    arguments.finish("id, description, config, instructions")?;

    let mut registrations = Vec::new();
    for item in &mut block.items {
        if let ImplItem::Fn(function) = item {
            registrations.extend(register(function)?);
        }
    }
    let this = &block.self_ty;
    let instructions =
        instructions.map(|text| quote!(items.instructions = ::core::option::Option::Some(#text);));
    let exports = exports(&id, &description, this);
    Ok(quote! {
        #block

        impl ::plugin_sdk::Author for #this {
            const ID: &'static str = #id;
            const VERSION: &'static str = env!("CARGO_PKG_VERSION");
            type Config = #config;

            fn create(config: Self::Config, host: &::plugin_sdk::Host) -> ::plugin_sdk::Result<Self> {
                Self::new(config, host)
            }

            fn items() -> ::plugin_sdk::Items<Self> {
                let mut items = ::plugin_sdk::Items::<Self>::default();
                #(#registrations)*
                #instructions
                items
            }
        }

        #exports
    })
}

/// The manifest note, the descriptor and the entry function.
fn exports(id: &LitStr, description: &LitStr, this: &syn::Type) -> TokenStream {
    quote! {
        const _: () = {
            use ::plugin_sdk::expansion::{Exported, abi};

            const MANIFEST: &str = concat!(
                "{\"id\":\"", #id, "\",\"version\":\"", env!("CARGO_PKG_VERSION"),
                "\",\"sdk\":\"rust-sdk\",\"abi\":\"1.0\",\"description\":\"", #description, "\"}\0"
            );

            #[allow(unsafe_code)]
            #[unsafe(link_section = ".note.toolrack")]
            #[used]
            static NOTE: abi::ManifestNote<{ MANIFEST.len() }> = abi::ManifestNote {
                name_size: 4,
                desc_size: MANIFEST.len() as u32,
                note_type: abi::NOTE_TYPE,
                name: abi::NOTE_NAME,
                desc: {
                    let mut desc = [0; MANIFEST.len()];
                    desc.copy_from_slice(MANIFEST.as_bytes());
                    desc
                },
            };

            static API: abi::PluginApi = Exported::<#this>::API;
            static DESCRIPTOR: abi::Descriptor = Exported::<#this>::descriptor(
                match ::core::ffi::CStr::from_bytes_with_nul(concat!(#id, "\0").as_bytes()) {
                    Ok(id) => id,
                    Err(_) => c"",
                },
                match ::core::ffi::CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
                    Ok(version) => version,
                    Err(_) => c"",
                },
                &API,
            );

            #[allow(unsafe_code)]
            #[unsafe(no_mangle)]
            extern "C" fn toolrack_plugin_entry() -> *const abi::Descriptor {
                &raw const DESCRIPTOR
            }
        };
    }
}

/// Takes the attribute off a function, and registers the function for what the attribute says.
fn register(function: &mut ImplItemFn) -> Result<Option<TokenStream>> {
    let is_ours = |attribute: &Attribute| KINDS.iter().any(|kind| attribute.path().is_ident(kind));
    let Some(at) = function.attrs.iter().position(is_ours) else {
        return Ok(None);
    };
    let attribute = function.attrs.remove(at);
    if let Some(second) = function.attrs.iter().find(|attribute| is_ours(attribute)) {
        return Err(Error::new_spanned(second, "a function is one item"));
    }
    // Authors may write a function async for its mode alone.
    function.attrs.push(parse_quote!(#[allow(clippy::unused_async, clippy::unused_self, clippy::unnecessary_wraps)]));
    let arguments = Arguments::of(&attribute)?;
    let kind = attribute.path().get_ident().map(ToString::to_string).unwrap_or_default();
    let name = &function.sig.ident;
    let registration = match kind.as_str() {
        "tool" => tool(function, arguments)?,
        "resource" => resource(function, arguments, &format_ident!("resources"))?,
        "resource_template" => resource(function, arguments, &format_ident!("templates"))?,
        "prompt" => prompt(function, arguments)?,
        "complete" => {
            quote!(items.complete = Some(|author, request| Self::#name(author, request));)
        }
        "resources" => quote!(items.list = Some(|author| Self::#name(author));),
        "watch" => quote!(items.watch = Some(|author, uri, on| Self::#name(author, uri, on));),
        _ => quote! {
            items.read = Some(|author, context, uri, output| {
                ::plugin_sdk::IntoOutput::write(Self::#name(author, context, uri)?, output)
            });
        },
    };
    Ok(Some(registration))
}

fn tool(function: &ImplItemFn, mut arguments: Arguments) -> Result<TokenStream> {
    let signature = Signature::of(function)?;
    let is_nonblocking = arguments.take_flag("nonblocking")? == Some(true);
    if is_nonblocking && signature.is_async() {
        return Err(Error::new_spanned(
            &function.sig,
            "an async tool is not `nonblocking`: it runs on the event loop",
        ));
    }
    let task = task_support(arguments.take_text("task")?)?;
    let questions_first = arguments.take_flag("questions_first")? == Some(true);
    if is_nonblocking && task.is_some() {
        return Err(Error::new_spanned(
            &function.sig,
            "a `nonblocking` tool is no task: it answers at once",
        ));
    }
    if questions_first && task.is_none() {
        return Err(Error::new_spanned(
            &function.sig,
            "`questions_first` says when the task begins: add `task = \"optional\"` or `\"required\"`",
        ));
    }
    let task = task.unwrap_or_else(|| quote!(Forbidden));
    let mut hints = Vec::new();
    for (argument, hint) in [
        ("read_only", "readOnlyHint"),
        ("destructive", "destructiveHint"),
        ("idempotent", "idempotentHint"),
        ("open_world", "openWorldHint"),
    ] {
        if let Some(value) = arguments.take_flag(argument)? {
            hints.push(quote!((#hint, #value)));
        }
    }
    let name = name_of(function, arguments.take_text("name")?);
    let title = option(arguments.take_text("title")?);
    let output_schema = match arguments.take("output") {
        Some(ty) => quote!(Some(::plugin_sdk::expansion::arguments_schema::<#ty>)),
        None => quote!(None),
    };
    let input_schema = match (arguments.take("input_schema"), signature.arguments()) {
        (Some(text), _) => {
            quote!(|| ::plugin_sdk::expansion::serde_json::from_str(#text).unwrap_or_default())
        }
        (None, Some(ty)) => quote!(::plugin_sdk::expansion::arguments_schema::<#ty>),
        (None, None) => quote!(
            || ::plugin_sdk::expansion::serde_json::json!({ "type": "object", "properties": {} })
        ),
    };
    arguments.finish("name, title, nonblocking, read_only, destructive, idempotent, open_world, task, questions_first, input_schema, output")?;
    let description = doc(&function.attrs);
    let handler = signature.handler(&function.sig.ident, is_nonblocking);
    Ok(quote! {
        items.tools.push(::plugin_sdk::ToolItem {
            name: #name,
            description: #description,
            title: #title,
            hints: &[#(#hints),*],
            input_schema: #input_schema,
            output_schema: #output_schema,
            task: ::plugin_sdk::TaskSupport::#task,
            questions_first: #questions_first,
            handler: #handler,
        });
    })
}

/// The variant of `TaskSupport`, unless it is the one that needs no word.
fn task_support(text: Option<LitStr>) -> Result<Option<TokenStream>> {
    let Some(text) = text else { return Ok(None) };
    match text.value().as_str() {
        "forbidden" => Ok(None),
        "optional" => Ok(Some(quote!(Optional))),
        "required" => Ok(Some(quote!(Required))),
        _ => Err(Error::new_spanned(text, "`task` is \"forbidden\", \"optional\" or \"required\"")),
    }
}

fn resource(
    function: &ImplItemFn,
    mut arguments: Arguments,
    list: &syn::Ident,
) -> Result<TokenStream> {
    let signature = Signature::of(function)?;
    let uri = arguments.text.take();
    let uri = uri.ok_or_else(|| {
        Error::new_spanned(&function.sig, "the attribute needs the URI as its first argument")
    })?;
    let name = name_of(function, arguments.take_text("name")?);
    let mime = arguments.take_text("mime")?;
    arguments.finish("name, mime")?;
    let description = doc(&function.attrs);
    // A result that names no type of its own gets the one that was announced.
    let handler = signature.handler_with_mime(&function.sig.ident, mime.as_ref());
    let mime = option(mime);
    Ok(quote! {
        items.#list.push(::plugin_sdk::ResourceItem {
            uri: #uri,
            name: #name,
            description: #description,
            mime: #mime,
            handler: #handler,
        });
    })
}

fn prompt(function: &ImplItemFn, mut arguments: Arguments) -> Result<TokenStream> {
    let signature = Signature::of(function)?;
    let name = name_of(function, arguments.take_text("name")?);
    arguments.finish("name")?;
    let description = doc(&function.attrs);
    let schema = match signature.arguments() {
        Some(ty) => quote!(::plugin_sdk::expansion::arguments_schema::<#ty>),
        None => quote!(|| ::plugin_sdk::expansion::serde_json::json!({})),
    };
    let handler = signature.handler(&function.sig.ident, false);
    Ok(quote! {
        items.prompts.push(::plugin_sdk::PromptItem {
            name: #name,
            description: #description,
            arguments: #schema,
            handler: #handler,
        });
    })
}

fn name_of(function: &ImplItemFn, name: Option<LitStr>) -> LitStr {
    name.unwrap_or_else(|| LitStr::new(&function.sig.ident.to_string(), function.sig.ident.span()))
}

fn option(text: Option<LitStr>) -> TokenStream {
    text.map_or_else(|| quote!(None), |text| quote!(Some(#text)))
}

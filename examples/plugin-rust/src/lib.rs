//! Counts words, and reminds: an example of a plugin that lives outside of Toolrack's repository.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use plugin_sdk::prelude::*;

/// Words that say nothing about a text, one a line.
const STOP_WORDS: &str =
    "a\nan\nand\nare\nas\nat\nbe\nby\nfor\nfrom\nin\nis\nit\nof\non\nor\nthat\nthe\nto\nwith\n";
/// Longest that a reminder may wait: the profile's deadline must be longer.
const REMIND_SECS_MAX: u32 = 60;

/// What the profile may set: `[plugin.words] config = { most = 3 }`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How many of the most frequent words are named.
    most: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { most: 5 }
    }
}

/// The plugin.
pub struct Words {
    most: usize,
    stop_words: HashSet<&'static str>,
}

/// What to count.
#[derive(Deserialize, JsonSchema)]
pub struct CountArgs {
    /// The text.
    text: String,
    /// Whether words such as "the" count too.
    #[serde(default)]
    with_stop_words: bool,
}

/// What was counted. As the tool's `output` it is described to clients, and answered as structured content.
#[derive(Serialize, JsonSchema)]
pub struct Counts {
    /// All words.
    words: usize,
    /// Different words, in lower case.
    different: usize,
    /// The most frequent ones and how often each is there, most frequent first.
    most_frequent: Vec<(String, usize)>,
}

/// When to remind of what.
#[derive(Deserialize, JsonSchema)]
pub struct RemindArgs {
    /// Seconds to wait; at most 60.
    #[schemars(range(max = 60))]
    after_secs: u32,
    /// What to say then.
    message: String,
}

/// Arguments of the prompt: strings, as for every prompt.
#[derive(Deserialize, JsonSchema)]
pub struct ShortenArgs {
    /// The text to shorten.
    text: String,
    /// How many words may be left.
    words: String,
}

#[plugin(id = "example.words", description = "Counts words, and reminds.", config = Config)]
impl Words {
    fn new(config: Config, host: &Host) -> Result<Self> {
        if config.most == 0 {
            // The operator reads this when the appliance starts.
            return Err(Error::invalid("config.most must be at least 1"));
        }
        host.debug("words is here");
        Ok(Self { most: config.most, stop_words: STOP_WORDS.lines().collect() })
    }

    /// Counts the words of a text.
    #[tool(read_only, idempotent, open_world = false, output = Counts)]
    fn count(&self, args: CountArgs) -> Result<Json<Counts>> {
        let mut counted = BTreeMap::<String, usize>::new();
        let words = args.text.split(|letter: char| !letter.is_alphanumeric() && letter != '\'');
        for word in words.filter(|word| !word.is_empty()) {
            let word = word.to_lowercase();
            if args.with_stop_words || !self.stop_words.contains(&*word) {
                *counted.entry(word).or_default() += 1;
            }
        }
        if counted.is_empty() {
            // The model reads this, and may try something else.
            return Err(Error::tool("There is no word in this text."));
        }
        let (words, different) = (counted.values().sum(), counted.len());
        let mut most_frequent: Vec<_> = counted.into_iter().collect();
        most_frequent.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        most_frequent.truncate(self.most);
        Ok(Json(Counts { words, different, most_frequent }))
    }

    /// Says something after a while, and tells its progress until then.
    #[tool(read_only)]
    async fn remind(&self, context: &Context, args: RemindArgs) -> Result<String> {
        if args.after_secs > REMIND_SECS_MAX {
            return Err(Error::invalid(format!("after_secs is at most {REMIND_SECS_MAX}")));
        }
        for passed in 0..args.after_secs {
            // Ends here when the client has gone.
            context.progress(passed.into(), Some(args.after_secs.into()), "waiting")?;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Ok(args.message)
    }

    /// The words that do not count.
    #[resource("words://stop-words", mime = "text/plain")]
    fn stop_words(&self) -> Result<&'static str> {
        Ok(STOP_WORDS)
    }

    /// Asks for a shorter text.
    #[prompt]
    fn shorten(&self, args: ShortenArgs) -> Result<Vec<PromptMessage>> {
        let ask = format!("Shorten this to at most {} words:\n\n{}", args.words, args.text);
        Ok(vec![PromptMessage::user(ask)])
    }
}

#[cfg(test)]
mod tests {
    use plugin_sdk::testing::Harness;

    use super::*;

    /// Statuses of `toolrack_plugin.h`: TR_ST_TOOL_ERROR and TR_ST_INVALID_PARAMS.
    const TOOL_ERROR: i32 = 1;
    const INVALID_PARAMS: i32 = 2;

    fn words(config: &str) -> Harness<Words> {
        Harness::new(config).expect("it starts")
    }

    #[test]
    fn counts_words_without_those_that_say_nothing() {
        let words = words(r#"{"most":2}"#);
        let text = r#"{"text":"The cat and the dog and the other cat."}"#;
        let counts = words.call_tool("count", text).json();
        assert_eq!((&counts["words"], &counts["different"]), (&4.into(), &3.into()));
        assert_eq!(counts["most_frequent"][0][0], "cat");
        assert_eq!(counts["most_frequent"].as_array().map(Vec::len), Some(2));
        assert_eq!(words.call_tool("count", r#"{"text":"the"}"#).status, TOOL_ERROR);
        let all = words.call_tool("count", r#"{"text":"the","with_stop_words":true}"#);
        assert_eq!(all.json()["words"], 1);
    }

    #[test]
    fn reminds_at_once_or_not_at_all() {
        let words = words("{}");
        let now = words.call_tool("remind", r#"{"after_secs":0,"message":"tea"}"#);
        assert_eq!(now.text(), "tea");
        let late = words.call_tool("remind", r#"{"after_secs":61,"message":"tea"}"#);
        assert_eq!(late.status, INVALID_PARAMS);
    }

    #[test]
    fn gives_its_resource_and_its_prompt() {
        let words = words("{}");
        assert!(words.read("words://stop-words").text().lines().any(|word| word == "the"));
        let prompt = words.get_prompt("shorten", r#"{"text":"long","words":"3"}"#).json();
        let text = prompt["messages"][0]["content"]["text"].as_str().map(str::to_owned);
        assert!(text.is_some_and(|text| text.contains("at most 3 words")));
    }

    #[test]
    fn refuses_settings_that_make_no_sense() {
        for config in [r#"{"most":0}"#, r#"{"least":1}"#] {
            assert!(Harness::<Words>::new(config).is_err(), "{config}");
        }
    }
}

//! The JSON Schema of the events in `docs/`, and a check that is stricter: every field has to be in it.

use serde_json::Value;

const SCHEMA: &str = include_str!("../../docs/events.schema.json");

/// The schema of all events.
pub struct EventSchema(Value);

impl EventSchema {
    /// The schema in `docs/`.
    pub fn documented() -> Self {
        Self(serde_json::from_str(SCHEMA).unwrap())
    }

    /// The names of all events.
    pub fn events(&self) -> Vec<&str> {
        let kinds = self.0["oneOf"].as_array().unwrap().iter();
        kinds.map(|kind| self.kind(kind)).collect()
    }

    /// Checks one event. The error names what is not as in the schema.
    pub fn check(&self, event: &Value) -> Result<(), String> {
        let mut kinds = self.0["oneOf"].as_array().unwrap().iter();
        match kinds.find(|kind| event["event"] == self.kind(kind)) {
            Some(kind) => self.check_against(kind, event, "event"),
            None => Err(format!("no such event: {event}")),
        }
    }

    fn kind<'a>(&'a self, kind: &'a Value) -> &'a str {
        let properties = &self.resolve(kind)["properties"];
        properties["event"]["const"].as_str().unwrap()
    }

    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let Some(reference) = schema["$ref"].as_str() else {
            return schema;
        };
        let target = self.0.pointer(reference.strip_prefix('#').unwrap());
        target.unwrap_or_else(|| panic!("{reference} is not in the schema"))
    }

    fn check_against(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        let schema = self.resolve(schema);
        for (keyword, rule) in schema.as_object().unwrap() {
            let fits = match keyword.as_str() {
                "type" => match rule {
                    Value::Array(types) => types.iter().any(|one| is_of_type(value, one)),
                    one => is_of_type(value, one),
                },
                "const" => value == rule,
                "enum" => rule.as_array().unwrap().contains(value),
                "minimum" => value.as_i64() >= rule.as_i64(),
                "required" => {
                    let mut names = rule.as_array().unwrap().iter();
                    names.all(|name| value.get(name.as_str().unwrap()).is_some())
                }
                "properties" => {
                    for (name, value) in value.as_object().into_iter().flatten() {
                        let at = format!("{at}.{name}");
                        let Some(schema) = rule.get(name) else {
                            return Err(format!("{at} is not in docs/events.schema.json"));
                        };
                        self.check_against(schema, value, &at)?;
                    }
                    true
                }
                "items" => {
                    for value in value.as_array().into_iter().flatten() {
                        self.check_against(rule, value, &format!("{at}[]"))?;
                    }
                    true
                }
                "description" | "format" => true,
                _ => panic!("the keyword {keyword} is not checked"),
            };
            if !fits {
                return Err(format!("{at} does not fit {keyword} {rule}: {value}"));
            }
        }
        Ok(())
    }
}

fn is_of_type(value: &Value, name: &Value) -> bool {
    match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "null" => value.is_null(),
        name => panic!("the type {name} is not checked"),
    }
}

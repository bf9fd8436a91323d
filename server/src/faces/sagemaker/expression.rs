//! Search expressions: which descriptions fit.
//!
//! A name is a path of members (`ProductionVariants.VariantName`); where it goes through a list, any element counts.
//! `Tags.<key>` is the value of a tag, `Metrics.<name>` the last value of a training job's metric.

use jiff::Timestamp as Moment;
use serde_json::Value;

use super::refusal::Refusal;

/// Conditions of one expression. Reason: AWS takes 20 filters, nested filters and sub-expressions each; nobody writes as
/// many, and each is looked at for each resource.
const CONDITIONS_MAX: usize = 100;

/// A search expression.
#[derive(Debug)]
pub(super) struct Expression {
    is_any: bool,
    conditions: Vec<Condition>,
}

#[derive(Debug)]
enum Condition {
    Filter(Filter),
    /// An element of this list fits all of these.
    Nested {
        path: String,
        filters: Vec<Filter>,
    },
    Sub(Expression),
}

#[derive(Debug)]
struct Filter {
    name: String,
    operator: Operator,
    value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equals,
    NotEquals,
    GreaterThan,
    GreaterThanOrEqualTo,
    LessThan,
    LessThanOrEqualTo,
    Contains,
    Exists,
    NotExists,
    In,
}

impl Operator {
    fn parse(text: Option<&str>) -> Option<Self> {
        Some(match text {
            None | Some("Equals") => Self::Equals,
            Some("NotEquals") => Self::NotEquals,
            Some("GreaterThan") => Self::GreaterThan,
            Some("GreaterThanOrEqualTo") => Self::GreaterThanOrEqualTo,
            Some("LessThan") => Self::LessThan,
            Some("LessThanOrEqualTo") => Self::LessThanOrEqualTo,
            Some("Contains") => Self::Contains,
            Some("Exists") => Self::Exists,
            Some("NotExists") => Self::NotExists,
            Some("In") => Self::In,
            Some(_) => return None,
        })
    }
}

impl Expression {
    /// From `SearchExpression`; without one everything fits.
    pub(super) fn parse(expression: Option<&Value>) -> Result<Self, Refusal> {
        let mut left = CONDITIONS_MAX;
        Self::read(expression.unwrap_or(&Value::Null), &mut left)
    }

    fn read(expression: &Value, left: &mut usize) -> Result<Self, Refusal> {
        let mut conditions = Vec::new();
        for filter in items(expression, "Filters") {
            conditions.push(Condition::Filter(Filter::read(filter, left)?));
        }
        for nested in items(expression, "NestedFilters") {
            let path = text(nested, "NestedPropertyName").unwrap_or_default().to_owned();
            let filters = items(nested, "Filters").iter().map(|filter| Filter::read(filter, left));
            conditions.push(Condition::Nested { path, filters: filters.collect::<Result<_, _>>()? });
        }
        for sub in items(expression, "SubExpressions") {
            count(left)?;
            conditions.push(Condition::Sub(Self::read(sub, left)?));
        }
        Ok(Self { is_any: text(expression, "Operator") == Some("Or"), conditions })
    }

    /// Whether a description fits.
    pub(super) fn is_match(&self, document: &Value) -> bool {
        let mut conditions = self.conditions.iter();
        match self.is_any && !self.conditions.is_empty() {
            true => conditions.any(|condition| condition.is_match(document)),
            false => conditions.all(|condition| condition.is_match(document)),
        }
    }
}

fn count(left: &mut usize) -> Result<(), Refusal> {
    *left = left.checked_sub(1).ok_or_else(|| {
        Refusal::validation(format!(
            "SearchExpression: expected at most {CONDITIONS_MAX} conditions, found more"
        ))
    })?;
    Ok(())
}

fn items<'a>(value: &'a Value, member: &str) -> &'a [Value] {
    value.get(member).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, member: &str) -> Option<&'a str> {
    value.get(member).and_then(Value::as_str)
}

impl Condition {
    fn is_match(&self, document: &Value) -> bool {
        match self {
            Self::Filter(filter) => filter.is_match(document),
            Self::Sub(expression) => expression.is_match(document),
            Self::Nested { path, filters } => {
                let elements = look_up(document, path);
                elements.into_iter().any(|element| filters.iter().all(|f| f.below(path).is_match(element)))
            }
        }
    }
}

impl Filter {
    fn read(filter: &Value, left: &mut usize) -> Result<Self, Refusal> {
        count(left)?;
        let operator = text(filter, "Operator");
        let name = text(filter, "Name").unwrap_or_default().to_owned();
        let value = text(filter, "Value");
        let operator = Operator::parse(operator).ok_or_else(|| {
            Refusal::validation(format!(
                "SearchExpression: {name}: expected a known Operator, found {operator:?}"
            ))
        })?;
        let needs_value = !matches!(operator, Operator::Exists | Operator::NotExists);
        if needs_value != value.is_some() {
            let (expected, found) = if needs_value { ("a Value", "none") } else { ("no Value", "one") };
            let message =
                format!("SearchExpression: {name}: expected {expected} for {operator:?}, found {found}");
            return Err(Refusal::validation(message));
        }
        Ok(Self { name, operator, value: value.unwrap_or_default().to_owned() })
    }

    /// The same within an element of `path`, whose name a nested filter may repeat.
    fn below(&self, path: &str) -> Self {
        let rest = self.name.strip_prefix(path).and_then(|rest| rest.strip_prefix('.'));
        Self {
            name: rest.unwrap_or(&self.name).to_owned(),
            operator: self.operator,
            value: self.value.clone(),
        }
    }

    fn is_match(&self, document: &Value) -> bool {
        let found = look_up(document, &self.name);
        match self.operator {
            Operator::Exists => !found.is_empty(),
            Operator::NotExists => found.is_empty(),
            // Of what is not there, too.
            Operator::NotEquals => !found.iter().any(|found| self.is_equal(found, &self.value)),
            _ => found.iter().any(|found| self.is_true_of(found)),
        }
    }

    fn is_true_of(&self, found: &Value) -> bool {
        // Hyperparameters are text, also where they are numbers.
        let value = || found.as_f64().or_else(|| found.as_str()?.parse().ok());
        let as_number = || Some((value()?, number(&self.value)?));
        let compare =
            |test: fn(&f64, &f64) -> bool| as_number().is_some_and(|(found, value)| test(&found, &value));
        match self.operator {
            Operator::GreaterThan => compare(f64::gt),
            Operator::GreaterThanOrEqualTo => compare(f64::ge),
            Operator::LessThan => compare(f64::lt),
            Operator::LessThanOrEqualTo => compare(f64::le),
            Operator::Contains => found.as_str().is_some_and(|found| found.contains(&self.value)),
            Operator::In => self.value.split(',').any(|value| self.is_equal(found, value.trim())),
            _ => self.is_equal(found, &self.value),
        }
    }

    fn is_equal(&self, found: &Value, value: &str) -> bool {
        match found {
            Value::String(text) => text == value,
            Value::Bool(flag) => flag.to_string().eq_ignore_ascii_case(value),
            Value::Number(_) => found.as_f64() == number(value),
            _ => false,
        }
    }
}

/// A number, or a moment as the seconds that descriptions have.
fn number(text: &str) -> Option<f64> {
    let moment = |text: &str| Some(text.parse::<Moment>().ok()?.as_millisecond() as f64 / 1e3);
    text.parse().ok().or_else(|| moment(text)).or_else(|| moment(&format!("{text}Z")))
}

/// The values at a path: none, one, or (through a list) several.
pub(super) fn look_up<'a>(document: &'a Value, path: &str) -> Vec<&'a Value> {
    if let Some(key) = path.strip_prefix("Tags.")
        && let Some(tag) = items(document, "Tags").iter().find(|tag| text(tag, "Key") == Some(key))
    {
        return tag.get("Value").into_iter().collect();
    }
    if let Some(name) = path.strip_prefix("Metrics.") {
        let values = items(document, "FinalMetricDataList").iter();
        return values
            .filter(|value| text(value, "MetricName") == Some(name))
            .filter_map(|v| v.get("Value"))
            .collect();
    }
    // A hyperparameter's name may have dots.
    if let Some(name) = path.strip_prefix("HyperParameters.") {
        return document.get("HyperParameters").and_then(|values| values.get(name)).into_iter().collect();
    }
    let mut found = vec![document];
    for member in path.split('.') {
        found = found.into_iter().filter_map(|value| value.get(member)).flat_map(elements).collect();
    }
    found
}

/// A list's elements; anything else is itself.
fn elements(value: &Value) -> Vec<&Value> {
    value.as_array().map_or_else(|| vec![value], |items| items.iter().collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document() -> Value {
        json!({
            "EndpointName": "shop-a", "EndpointStatus": "InService", "CreationTime": 1_700_000_000.5, "IsSmall": true,
            "ProductionVariants": [
                {"VariantName": "A", "CurrentWeight": 0.9, "DesiredInstanceCount": 1},
                {"VariantName": "B", "CurrentWeight": 0.1, "DesiredInstanceCount": 3},
            ],
            "Tags": [{"Key": "team", "Value": "shop"}, {"Key": "a.b", "Value": "dotted"}],
            "HyperParameters": {"eta": "0.2", "a.b": "x"},
            "FinalMetricDataList": [{"MetricName": "validation:rmse", "Value": 0.5, "Timestamp": 1}],
        })
    }

    fn check(expression: &Value, expected: bool) {
        let parsed = Expression::parse(Some(expression)).expect("an expression");
        assert_eq!(parsed.is_match(&document()), expected, "{expression}");
    }

    fn check_filter(name: &str, operator: &str, value: &str, expected: bool) {
        let mut filter = json!({"Name": name, "Operator": operator});
        if !operator.ends_with("xists") {
            filter["Value"] = value.into();
        }
        check(&json!({"Filters": [filter]}), expected);
    }

    #[test]
    fn each_operator_compares() {
        for (name, operator, value, expected) in [
            ("EndpointName", "Equals", "shop-a", true),
            ("EndpointName", "Equals", "shop", false),
            ("EndpointName", "NotEquals", "shop", true),
            ("Nothing", "NotEquals", "shop", true),
            ("EndpointName", "Contains", "op-", true),
            ("EndpointName", "In", "x, shop-a", true),
            ("EndpointName", "In", "x,y", false),
            ("EndpointName", "Exists", "", true),
            ("Nothing", "Exists", "", false),
            ("Nothing", "NotExists", "", true),
            ("IsSmall", "Equals", "True", true),
            ("CreationTime", "GreaterThan", "2023-11-14T22:13:20Z", true),
            ("CreationTime", "GreaterThan", "2023-11-14T22:13:21", false),
            ("CreationTime", "LessThanOrEqualTo", "1700000000.5", true),
            ("EndpointName", "GreaterThan", "a", false),
            ("ProductionVariants.VariantName", "Equals", "B", true),
            ("ProductionVariants.DesiredInstanceCount", "GreaterThanOrEqualTo", "3", true),
            ("ProductionVariants.DesiredInstanceCount", "LessThan", "1", false),
            ("Tags.team", "Equals", "shop", true),
            ("Tags.a.b", "Equals", "dotted", true),
            ("Tags.none", "Exists", "", false),
            ("HyperParameters.eta", "Equals", "0.2", true),
            ("HyperParameters.eta", "LessThan", "0.3", true),
            ("HyperParameters.a.b", "Equals", "x", true),
            ("HyperParameters.none", "Exists", "", false),
            ("Metrics.validation:rmse", "LessThanOrEqualTo", "0.5", true),
            ("Metrics.validation:rmse", "GreaterThan", "0.5", false),
            ("Metrics.train:rmse", "Exists", "", false),
        ] {
            check_filter(name, operator, value, expected);
        }
        check(&json!({"Filters": [{"Name": "EndpointName", "Value": "shop-a"}]}), true);
    }

    #[test]
    fn conditions_combine() {
        let filter = |value: &str| json!({"Name": "EndpointName", "Value": value});
        check(&json!({}), true);
        check(&json!({"Operator": "Or"}), true);
        check(&json!({"Filters": [filter("shop-a"), filter("x")]}), false);
        check(&json!({"Filters": [filter("shop-a"), filter("x")], "Operator": "Or"}), true);
        let sub = json!({"Filters": [filter("x"), filter("shop-a")], "Operator": "Or"});
        check(&json!({"SubExpressions": [sub], "Filters": [filter("shop-a")]}), true);
        let nested = |name: &str, count: &str| {
            json!({"NestedFilters": [{"NestedPropertyName": "ProductionVariants", "Filters": [
                {"Name": "ProductionVariants.VariantName", "Value": name},
                {"Name": "DesiredInstanceCount", "Value": count},
            ]}]})
        };
        check(&nested("B", "3"), true);
        check(&nested("A", "3"), false);
    }

    #[test]
    fn what_is_not_an_expression_is_refused() {
        let refused =
            |expression: Value| Expression::parse(Some(&expression)).expect_err("refused").0.message;
        let filters = vec![json!({"Name": "A", "Value": "b"}); 101];
        assert!(refused(json!({"Filters": filters})).contains("at most 100 conditions"));
        assert!(
            refused(json!({"Filters": [{"Name": "A"}]})).contains("expected a Value for Equals, found none")
        );
        let exists = json!({"Filters": [{"Name": "A", "Operator": "Exists", "Value": "x"}]});
        assert!(refused(exists).contains("expected no Value for Exists, found one"));
        assert!(
            refused(json!({"Filters": [{"Name": "A", "Operator": "Like", "Value": "x"}]}))
                .contains("Operator")
        );
    }
}

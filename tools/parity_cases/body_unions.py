"""Bodies about tagged unions, and about references in what a finding expects."""

from parity_cases.body_parts import fails, schema_finding
from parity_cases.case import Case, items

TAGGED = (
    "Where a constant or enum member decides the branch of anyOf, oneOf or if, the findings are "
    "those of that branch; a tag that is missing is `required`, one that no branch has is `enum`."
)
WHOLE = "anyOf, oneOf, not, if: one finding, branches not entered."
RESOLVED = "References in `expected` are replaced by what they refer to."
CAT = '{"type":"object","properties":{"kind":{"const":"cat"},"lives":{"type":"integer"}},"required":["kind","lives"]}'
DOG = '{"type":"object","properties":{"kind":{"enum":["dog","hound"]},"bark":{"type":"string"}},"required":["kind","bark"]}'
DEFS = f'"$defs":{{"Cat":{CAT},"Dog":{DOG}}}'
BOTH = '{"$ref":"#/$defs/Cat"},{"$ref":"#/$defs/Dog"}'
PET = f'{{"oneOf":[{BOTH}],{DEFS}}}'
PETS = f'{{"type":"array","items":{{"anyOf":[{BOTH},{{"type":"null"}}]}},{DEFS}}}'
OPTIONAL = f'{{"properties":{{"pet":{{"anyOf":[{{"oneOf":[{BOTH}]}},{{"type":"null"}}]}}}},{DEFS}}}'
ALL_OF = f'{{"anyOf":[{{"allOf":[{{"$ref":"#/$defs/Cat"}},{{"required":["name"]}}]}},{DOG}],{DEFS}}}'
TWO = (
    '{"oneOf":[{"properties":{"v":{"const":1},"t":{"const":"a"},"x":{"type":"string"}},"required":["v","t","x"]},'
    '{"properties":{"v":{"const":2},"t":{"const":"a"},"y":{"type":"string"}},"required":["v","t","y"]},'
    '{"properties":{"v":{"const":2},"t":{"const":"b"}},"required":["v","t"]}]}'
)
UNTAGGED = '{"anyOf":[{"$ref":"#/$defs/A"},{"$ref":"#/$defs/B"}],"$defs":{"A":{"required":["a"]},"B":{"$ref":"#/$defs/C"},"C":{"required":["c"]}}}'
TREE = '{"not":{"$ref":"#/$defs/T"},"$defs":{"T":{"title":"t","items":{"$ref":"#/$defs/T"}}}}'
BESIDE = '{"contains":{"$ref":"#/$defs/N","maximum":9},"$defs":{"N":{"type":"number"}}}'
WHEN = (
    '{"if":{"properties":{"kind":{"const":"cat"}},"required":["kind"]},'
    '"then":{"$ref":"#/$defs/C"},"else":{"required":["bark"]},'
    '"$defs":{"C":{"properties":{"lives":{"type":"integer"}},"required":["lives"]}}}'
)


def one(name: str, about: str, schema: str, output: str, *findings: str, why: str = TAGGED) -> Case:
    """Make a fixture of an answer that does not hold."""
    return fails(f"union_{name}", about, why, output, schema, *findings)


UNIONS = [
    one("by_const", "The constant decides.", PET, '{"kind":"cat","lives":"9"}', schema_finding("/lives", '"9"', '{"type":"integer"}')),
    one("by_enum", "An enum of two decides.", PET, '{"kind":"hound"}', schema_finding("", '{"kind":"hound"}', '{"required":"bark"}')),
    one("unknown_tag", "The constants of all branches, in their order.", PET, '{"kind":"bird","lives":1}', schema_finding("/kind", '"bird"', '{"enum":["cat","dog","hound"]}')),
    one("no_tag", "The tag alone is told.", PET, '{"lives":1}', schema_finding("", '{"lives":1}', '{"required":"kind"}')),
    one("in_items", "In items, beside a branch that takes no object.", PETS, '[null,{"kind":"dog","bark":1}]', schema_finding("/1/bark", "1", '{"type":"string"}')),
    one("within_a_union", "A union within one that allows null.", OPTIONAL, '{"pet":{"kind":"cat"}}', schema_finding("/pet", '{"kind":"cat"}', '{"required":"lives"}')),
    one("within_a_union_unknown", "The inner union's constants are those of the outer's branch.", OPTIONAL, '{"pet":{"kind":7}}', schema_finding("/pet/kind", "7", '{"enum":["cat","dog","hound"]}')),
    one("by_all_of", "The constant stands behind allOf and a reference.", ALL_OF, '{"kind":"cat","lives":1}', schema_finding("", '{"kind":"cat","lives":1}', '{"required":"name"}')),
    one("by_two_tags", "Both together decide.", TWO, '{"v":2.0,"t":"a","x":""}', schema_finding("", '{"v":2.0,"t":"a","x":""}', '{"required":"y"}')),
    one("by_one_of_two_tags", "One is enough where it leaves one branch.", TWO, '{"v":1}', schema_finding("", '{"v":1}', '{"required":"t"}'), schema_finding("", '{"v":1}', '{"required":"x"}')),
    one("one_of_two_tags_missing", "Two branches are left: what would decide is missing.", TWO, '{"v":2}', schema_finding("", '{"v":2}', '{"required":"t"}')),
    one(
        "no_such_pair",
        "Each constant is right, the pair is not: the union fails as a whole.",
        TWO,
        '{"v":1,"t":"b"}',
        schema_finding("", '{"v":1,"t":"b"}', TWO),
        why=WHOLE,
    ),
    one("by_condition", "A condition that compares constants.", WHEN, '{"kind":"cat","lives":"9"}', schema_finding("/lives", '"9"', '{"type":"integer"}')),
    one("by_condition_else", "The other branch of it.", WHEN, '{"kind":"dog"}', schema_finding("", '{"kind":"dog"}', '{"required":"bark"}')),
    one(
        "closed",
        "The branch that is meant has evaluated its members.",
        f'{{"oneOf":[{CAT},{DOG}],"unevaluatedProperties":false}}',
        '{"kind":"cat","lives":"9","name":"Tom"}',
        schema_finding("", '"name"', '{"unevaluatedProperties":false}'),
        schema_finding("/lives", '"9"', '{"type":"integer"}'),
    ),
    one(
        "optional_tag",
        "A constant that is not required decides nothing.",
        '{"anyOf":[{"properties":{"k":{"const":1}},"required":["a"]},{"properties":{"k":{"const":2}},"required":["b"]}]}',
        '{"k":1}',
        schema_finding("", '{"k":1}', '{"anyOf":[{"properties":{"k":{"const":1}},"required":["a"]},{"properties":{"k":{"const":2}},"required":["b"]}]}'),
        why=WHOLE,
    ),
    one("not_an_object", "There is no tag in a number.", PET, "3", schema_finding("", "3", f'{{"oneOf":[{CAT},{DOG}]}}'), why=RESOLVED),
    one("references_resolved", "Also one that leads to another.", UNTAGGED, '{"b":1}', schema_finding("", '{"b":1}', '{"anyOf":[{"required":["a"]},{"required":["c"]}]}'), why=RESOLVED),
    one("reference_into_itself", "It stays where it leads back.", TREE, "1", schema_finding("", "1", '{"not":{"title":"t","items":{"$ref":"#/$defs/T"}}}'), why=RESOLVED),
    one("reference_beside_keywords", "It becomes an allOf of its own.", BESIDE, "[10]", schema_finding("", "[10]", '{"contains":{"allOf":[{"type":"number"}],"maximum":9}}'), why=RESOLVED),
    one("reference_in_data", "Constants are no references.", '{"not":{"const":{"$ref":"#/x"}}}', '{"$ref":"#/x"}', schema_finding("", '{"$ref":"#/x"}', '{"not":{"const":{"$ref":"#/x"}}}'), why=RESOLVED),
    one(
        "reference_too_long",
        "Over 8 KiB of it: as it stands.",
        f'{{"not":{{"$ref":"#/$defs/L"}},"$defs":{{"L":{{"enum":{items(*map(str, range(3_000)))}}}}}}}',
        "7",
        schema_finding("", "7", '{"not":{"$ref":"#/$defs/L"}}'),
        why=RESOLVED,
    ),
]

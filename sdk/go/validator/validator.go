package validator

import (
	"lakehouse/sdk/go/internal/jsontext"
	"lakehouse/sdk/go/sessionlog"
)

// A Validator judges answers: by a schema, and if that holds by grounding rules. It is safe for
// concurrent use.
type Validator struct {
	schema  *Schema
	lookups []lookup
}

// New checks grounding rules against tables, by name. The error is a [*RequestError] that names the
// rule.
func New(schema *Schema, rules []Rule, tables map[string]*Table) (*Validator, error) {
	v := &Validator{schema: schema}
	for i, rule := range rules {
		lookup, err := lookupOf(rule, tables)
		if err != nil {
			return nil, invalid("grounding[%d]: %v", i, err)
		}
		v.lookups = append(v.lookups, lookup)
	}
	return v, nil
}

// A Reply is what POST /v1/validate answers.
type Reply struct {
	// Accepted says that every check passed.
	Accepted bool
	// Artifact is the JSON value taken from the answer, or nothing.
	Artifact sessionlog.RawJSON
	// Grounded is false if any value is ungrounded, true if at least one rule applied and all held,
	// else nil.
	Grounded *bool
	// Findings are in the contract's order; none if the answer is accepted.
	Findings []sessionlog.Finding
}

// Judge takes the JSON out of an answer and checks it. Quotes must stand in source.
//
// Of several candidates the one that passes the schema is judged on, those in blocks first, else the last
// is reported. Different ones of which both pass are the finding ambiguous. An error means that the answer
// could not be judged.
func (v *Validator) Judge(output, source string) (*Reply, error) {
	extracted := extract(output)
	if len(extracted.classes) == 0 {
		return rejected(extracted.code, extracted.message), nil
	}
	artifact, ambiguous, err := v.choose(extracted.classes)
	if err != nil {
		return nil, err
	}
	if ambiguous {
		return rejected(sessionlog.FindingAmbiguous, "The answer holds different values that pass the schema: give one answer."), nil
	}
	findings, err := v.schema.findings(artifact)
	if err != nil {
		return nil, err
	}
	reply := &Reply{Findings: findings}
	if reply.Artifact, err = sessionlog.ParseRawJSON(artifact.raw); err != nil {
		return nil, err
	}
	if len(findings) == 0 {
		if err := v.ground(reply, artifact, source); err != nil {
			return nil, err
		}
	}
	reply.Accepted = len(reply.Findings) == 0
	return reply, nil
}

func rejected(code sessionlog.FindingCode, message string) *Reply {
	return &Reply{Findings: []sessionlog.Finding{{Code: code, Message: message}}}
}

// choose takes the candidate that passes the schema in the first class that has one, else the last of
// all. It is ambiguous if that class has different ones.
func (v *Validator) choose(classes [][]*value) (chosen *value, ambiguous bool, err error) {
	holds := make(map[string]bool)
	for _, candidates := range classes {
		var passed *value
		for _, candidate := range candidates {
			passes, known := holds[candidate.raw]
			if !known {
				if passes, err = v.schema.accepts(candidate); err != nil {
					return nil, false, err
				}
				holds[candidate.raw] = passes
			}
			switch {
			case passed == nil:
				chosen = candidate
				if passes {
					passed = candidate
				}
			case passes && !candidate.equal(passed):
				return nil, true, nil
			}
		}
		if passed != nil {
			return passed, false, nil
		}
	}
	return chosen, false, nil
}

func (v *Validator) ground(reply *Reply, artifact *value, source string) error {
	var found []located
	for i := range v.lookups {
		more, applied, err := v.lookups[i].ground(artifact, source, groundingFindingsMax-len(found))
		if err != nil {
			return err
		}
		found = append(found, more...)
		if applied {
			reply.Grounded = new(bool)
		}
		if len(found) == groundingFindingsMax {
			break
		}
	}
	if reply.Grounded != nil {
		*reply.Grounded = len(found) == 0
	}
	reply.Findings = ordered(found)
	return nil
}

// Encode writes the reply: members in the contract's order, no white space between tokens.
func (r *Reply) Encode() ([]byte, error) {
	verdict := "rejected"
	if r.Accepted {
		verdict = "accepted"
	}
	out, _ := jsontext.AppendString([]byte(`{"verdict":`), verdict)
	out = append(out, `,"artifact":`+r.Artifact.String()+`,"grounded":`...)
	switch {
	case r.Grounded == nil:
		out = append(out, "null"...)
	case *r.Grounded:
		out = append(out, "true"...)
	default:
		out = append(out, "false"...)
	}
	out = append(out, `,"findings":[`...)
	for i := range r.Findings {
		if i > 0 {
			out = append(out, ',')
		}
		var err error
		if out, err = r.Findings[i].AppendJSON(out); err != nil {
			return nil, err
		}
	}
	return append(out, "]}"...), nil
}

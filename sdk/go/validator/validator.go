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
// Of several candidates the first that passes the schema is judged on, else the last is reported. An
// error means that the answer could not be judged.
func (v *Validator) Judge(output, source string) (*Reply, error) {
	extracted := extract(output)
	if len(extracted.candidates) == 0 {
		finding := sessionlog.Finding{Code: extracted.code, Message: extracted.message}
		return &Reply{Findings: []sessionlog.Finding{finding}}, nil
	}
	var artifact *value
	var findings []sessionlog.Finding
	for _, artifact = range extracted.candidates {
		var err error
		if findings, err = v.schema.findings(artifact); err != nil {
			return nil, err
		}
		if len(findings) == 0 {
			break
		}
	}
	reply := &Reply{Findings: findings}
	var err error
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

func (v *Validator) ground(reply *Reply, artifact *value, source string) error {
	var found []located
	for i := range v.lookups {
		more, applied, err := v.lookups[i].ground(artifact, source)
		if err != nil {
			return err
		}
		found = append(found, more...)
		if applied {
			reply.Grounded = new(bool)
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

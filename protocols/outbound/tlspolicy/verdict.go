package tlspolicy

import (
	"strings"

	"rookery/protocols/outbound/session"
)

// Verdict is how a message was protected on its way to a host, or why it was not
// sent, for log, queue, bounce and trace. Its zero value says that no host was
// tried.
type Verdict struct {
	// Policy is what was owed: "dane", "sts" or "required"; else what came of it:
	// "opportunistic", or "none" without TLS.
	Policy string
	// Version and Cipher are as crypto/tls names them, "" without TLS.
	Version, Cipher string
	// VerifiedBy is how the peer's certificate was verified: "name", "DANE-EE",
	// "DANE-TA", or "" where it was not.
	VerifiedBy string
	// Why says in words why it is so.
	Why string
	// Failed says that TLS, or what is known of its policy, is why nothing was sent.
	Failed bool
}

// Verdict judges a connection under a policy.
func (p *Policy) Verdict(t session.TLS) Verdict {
	v := Verdict{Policy: p.name(), Version: t.Version, Cipher: t.Cipher, VerifiedBy: t.By, Why: joined(t.Why, p.Why)}
	switch {
	case !t.Used:
		v.Policy = "none"
	case v.Policy == "none":
		v.Policy = "opportunistic"
	}
	return v
}

// Refusal is the verdict where TLS failed that a policy asks for, or where what it
// asks for is not known.
func (p *Policy) Refusal(why error) Verdict {
	return Verdict{Policy: p.name(), Why: joined(why.Error(), p.Why), Failed: true}
}

// Demands says that mail is rather kept than sent without what the policy asks for.
func (p *Policy) Demands() bool { return p.TLS.Mode == session.Verified || p.TLS.Mode == session.DANE }

func (p *Policy) name() string {
	switch p.Source {
	case DANE:
		return "dane"
	case STSEnforce:
		return "sts"
	case Required:
		return "required"
	}
	return "none"
}

func joined(a, b string) string {
	if a != "" && b != "" {
		return a + "; " + b
	}
	return a + b
}

// String is the verdict in one line, for people.
func (v Verdict) String() string {
	var b strings.Builder
	b.WriteString(v.Policy)
	switch {
	case v.Policy == "":
		return ""
	case v.Version == "":
		b.WriteString(": no TLS")
	default:
		b.WriteString(": " + v.Version + " " + v.Cipher)
	}
	if v.VerifiedBy != "" {
		b.WriteString(", verified by " + v.VerifiedBy)
	} else if v.Version != "" {
		b.WriteString(", not verified")
	}
	if v.Why != "" {
		b.WriteString(" (" + v.Why + ")")
	}
	return b.String()
}

package ldap

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	goldap "github.com/go-ldap/ldap/v3"
	"rookery"
)

// code is the server's own result code; false when err is not a server's
// word: a timeout, a broken connection, a refusal by the client library.
func code(err error) (uint16, bool) {
	var e *goldap.Error
	if errors.As(err, &e) && e.ResultCode < goldap.ErrorNetwork {
		return e.ResultCode, true
	}
	return 0, false
}

// lost reports that a request got no answer.
func lost(err error) bool {
	if err == nil {
		return false
	}
	_, answered := code(err)
	return !answered
}

// elsewhere reports that another server may do better. When the caller's own
// time is up, that says nothing about the server.
func elsewhere(ctx context.Context, err error) bool {
	if err == nil || ctx.Err() != nil {
		return false
	}
	c, answered := code(err)
	return !answered || c == goldap.LDAPResultBusy || c == goldap.LDAPResultUnavailable
}

// explainResult adds the mend to results that administrators meet.
func explainResult(err error) error {
	c, answered := code(err)
	if !answered {
		return err
	}
	mend := ""
	switch c {
	case goldap.LDAPResultStrongAuthRequired, goldap.LDAPResultConfidentialityRequired:
		mend = "the server wants encryption: use ldaps:// or start_tls"
	case goldap.LDAPResultInvalidCredentials:
		mend = "check bind_dn and its password"
		if sub, ok := subCode(err); ok {
			mend += "; " + sub.text
		}
	case goldap.LDAPResultNoSuchObject:
		mend = "check base, and what the service account may read"
	case goldap.LDAPResultReferral:
		mend = "another server holds this base: name that server in urls; referrals are not followed"
	case goldap.LDAPResultOperationsError, goldap.LDAPResultInsufficientAccessRights:
		mend = "the server refuses this to the service account: set bind_dn, or give it the right to read"
	case goldap.LDAPResultInappropriateAuthentication:
		mend = "the service account has no password in the directory"
	default:
		return err
	}
	return fmt.Errorf("%w (%s)", err, mend)
}

// subResult is what Active Directory adds to code 49 as "data XXX".
type subResult struct {
	kind rookery.Kind
	text string
}

func subResults() map[string]subResult {
	return map[string]subResult{
		"525": {rookery.KindCredentials, "there is no such user"},
		"52e": {rookery.KindCredentials, "wrong password"},
		"530": {rookery.KindDisabled, "the account may not sign in at this hour"},
		"531": {rookery.KindDisabled, "the account may not sign in from this machine"},
		"532": {rookery.KindDisabled, "the password has expired: change it first"},
		"533": {rookery.KindDisabled, "the account is disabled"},
		"701": {rookery.KindDisabled, "the account has expired"},
		"773": {rookery.KindDisabled, "the password must be changed first"},
		"775": {rookery.KindDisabled, "the account is locked after too many wrong passwords"},
	}
}

var dataXXX = regexp.MustCompile(`\bdata ([0-9a-fA-F]{3,8}),`)

func subCode(err error) (subResult, bool) {
	m := dataXXX.FindStringSubmatch(err.Error())
	if m == nil {
		return subResult{}, false
	}
	r, ok := subResults()[strings.ToLower(m[1])]
	return r, ok
}

// judge turns the result of a user's bind into a verdict: nil, or an error of
// KindCredentials or KindDisabled. known is false when the server has not
// judged the password, whatever else it said.
func judge(res *goldap.SimpleBindResult, err error) (verdict error, known bool) {
	const op = "check password"
	disabled := func(text string) (error, bool) {
		return rookery.E(op, rookery.KindDisabled, errors.New(text)), true
	}
	wrong := func(text string) (error, bool) {
		return rookery.E(op, rookery.KindCredentials, errors.New(text)), true
	}
	c, answered := code(err)
	if err != nil && !answered {
		return nil, false
	}
	policy := policyError(res)
	if err == nil {
		switch policy {
		case goldap.BeheraChangeAfterReset:
			return disabled("the password must be changed first")
		case goldap.BeheraAccountLocked:
			return disabled("the account is locked")
		}
		return nil, true
	}
	text := strings.ToLower(err.Error())
	switch c {
	case goldap.LDAPResultInvalidCredentials:
		switch policy {
		case goldap.BeheraAccountLocked:
			return disabled("the account is locked")
		case goldap.BeheraPasswordExpired:
			return disabled("the password has expired: change it first")
		}
		if sub, ok := subCode(err); ok {
			return rookery.E(op, sub.kind, errors.New(sub.text)), true
		}
		return wrong("wrong password")
	case goldap.LDAPResultInappropriateAuthentication:
		return wrong("the account has no password in the directory")
	case goldap.LDAPResultUnwillingToPerform:
		// 389 Directory Server says so of inactivated accounts; others mean
		// many things by it.
		if strings.Contains(text, "inactivated") || strings.Contains(text, "locked") {
			return disabled("the account is disabled")
		}
	case goldap.LDAPResultConstraintViolation:
		if strings.Contains(text, "retry limit") {
			return disabled("the account is locked after too many wrong passwords")
		}
	}
	return nil, false
}

// policyError is the error of the password policy control (draft-behera), or
// -1.
func policyError(res *goldap.SimpleBindResult) int8 {
	if res == nil {
		return -1
	}
	c, ok := goldap.FindControl(res.Controls, goldap.ControlTypeBeheraPasswordPolicy).(*goldap.ControlBeheraPasswordPolicy)
	if !ok {
		return -1
	}
	return c.Error
}

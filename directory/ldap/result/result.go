// Package result says what the answers of LDAP servers mean: whether a server has
// spoken, whether another may do better, what an administrator is to do, and what
// a bind says of a password and its account. It asks no server.
package result

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	goldap "github.com/go-ldap/ldap/v3"

	"rookery"
	"rookery/directory"
)

// Code is the server's own result code; false when err is not a server's
// word: a timeout, a broken connection, a refusal by the client library.
func Code(err error) (uint16, bool) {
	var e *goldap.Error
	if errors.As(err, &e) && e.ResultCode < goldap.ErrorNetwork {
		return e.ResultCode, true
	}
	return 0, false
}

// Lost reports that a request got no answer.
func Lost(err error) bool {
	if err == nil {
		return false
	}
	_, answered := Code(err)
	return !answered
}

// Elsewhere reports that another server may do better. When the caller's own
// time is up, that says nothing about the server.
func Elsewhere(ctx context.Context, err error) bool {
	if err == nil || ctx.Err() != nil {
		return false
	}
	c, answered := Code(err)
	return !answered || c == goldap.LDAPResultBusy || c == goldap.LDAPResultUnavailable
}

// Explain adds the mend to results that administrators meet.
func Explain(err error) error {
	c, answered := Code(err)
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

// subResult is what Active Directory adds to code 49 as "data XXX". All but a
// lock-out are said after a right password only; no cause is a wrong one.
type subResult struct {
	cause directory.Cause
	text  string
}

func subResults() map[string]subResult {
	return map[string]subResult{
		"525": {directory.CauseNone, "there is no such user"},
		"52e": {directory.CauseNone, "wrong password"},
		"530": {directory.CauseForbidden, "the account may not sign in at this hour"},
		"531": {directory.CauseForbidden, "the account may not sign in from this machine"},
		"532": {directory.CauseExpired, "the password has expired: change it first"},
		"533": {directory.CauseDisabled, "the account is disabled"},
		"701": {directory.CauseDisabled, "the account has expired"},
		"773": {directory.CauseExpired, "the password must be changed first"},
		"775": {directory.CauseLocked, "the account is locked after too many wrong passwords"},
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

// Judge turns the result of a user's bind into a verdict: nil, or an error of
// KindCredentials or KindDisabled, the latter with a directory.Refusal. known is
// false when the server has not judged the password, whatever else it said.
func Judge(res *goldap.SimpleBindResult, err error) (verdict error, known bool) {
	c, answered := Code(err)
	if err != nil && !answered {
		return nil, false
	}
	policy := policyError(res)
	if err == nil {
		switch {
		case policy == goldap.BeheraChangeAfterReset, mustChange(res):
			return refused(directory.CauseExpired, true, "the password must be changed first"), true
		case policy == goldap.BeheraAccountLocked:
			return refused(directory.CauseLocked, true, "the account is locked"), true
		}
		return nil, true
	}
	text := strings.ToLower(err.Error())
	switch c {
	case goldap.LDAPResultInvalidCredentials:
		return judge49(policy, res, err), true
	case goldap.LDAPResultInappropriateAuthentication:
		return wrong("the account has no password in the directory"), true
	case goldap.LDAPResultUnwillingToPerform:
		// 389 Directory Server says so of inactivated accounts, whatever the
		// password; others mean many things by it.
		if strings.Contains(text, "inactivated") || strings.Contains(text, "locked") {
			return refused(directory.CauseDisabled, false, "the account is disabled"), true
		}
	case goldap.LDAPResultConstraintViolation:
		if strings.Contains(text, "retry limit") {
			return refused(directory.CauseLocked, false, "the account is locked after too many wrong passwords"), true
		}
	}
	return nil, false
}

// judge49 is the verdict of invalidCredentials. Servers say that a password has
// expired after it was right only, and that an account is locked to anybody.
func judge49(policy int8, res *goldap.SimpleBindResult, err error) error {
	switch {
	case policy == goldap.BeheraAccountLocked:
		return refused(directory.CauseLocked, false, "the account is locked")
	case policy == goldap.BeheraPasswordExpired, mustChange(res):
		return refused(directory.CauseExpired, true, "the password has expired: change it first")
	}
	switch sub, ok := subCode(err); {
	case ok && sub.cause != directory.CauseNone:
		return refused(sub.cause, sub.cause != directory.CauseLocked, sub.text)
	case ok:
		return wrong(sub.text)
	}
	return wrong("wrong password")
}

const opJudge = "check password"

func refused(cause directory.Cause, proven bool, text string) error {
	return directory.Refuse(opJudge, directory.Refusal{Cause: cause, Proven: proven, Text: text})
}

func wrong(text string) error {
	return rookery.E(opJudge, rookery.KindCredentials, errors.New(text))
}

// mustChange reports the control by which 389 Directory Server says that a
// password, which was right, has expired or must be changed (draft-vchu).
func mustChange(res *goldap.SimpleBindResult) bool {
	return res != nil && goldap.FindControl(res.Controls, goldap.ControlTypeVChuPasswordMustChange) != nil
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

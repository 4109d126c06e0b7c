package signin

import "rookery/directory"

// Cause says why somebody may not sign in whose account exists.
type Cause = directory.Cause

// The causes that a protocol has an answer for.
const (
	Disabled  = directory.CauseDisabled  // by an administrator, or the account has expired
	Expired   = directory.CauseExpired   // the password has, or must be changed
	Forbidden = directory.CauseForbidden // not at this hour, or not from here
	Locked    = directory.CauseLocked    // after too many wrong passwords
)

// Told is the cause that a client may be told of the error of its sign-in; zero
// where there is none, as before a right password.
func Told(err error) Cause { return directory.Told(err) }

// Package admin is where operators come in: HTTP over a Unix socket that only the
// owner of the data directory and the members of the group rookery can open.
//
// Every call has one way in, the routes: each is declared to read or to change,
// and one that changes is recorded with who called, by the kernel's word, before
// it begins and after it has ended. The package owns the table from the kind of
// an error to HTTP's status, the streams of long calls, and what an account is
// called by; it decides nothing about mail, keys or nodes, which the services
// that it hands calls to do.
package admin

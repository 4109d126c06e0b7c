// Package trace answers what became of a message. It gathers what the groups
// remember of messages that were accepted (storage/trace), and what each node has
// refused, with the sign-ins, which it keeps in files of its own for a week: what
// a stranger can cause must not fill the cluster's log. It drops what is old.
//
// It never reads a message, and never decides about one.
package trace

package directory

import "context"

// Follower is a source that tells what is in a directory and what changes
// there, for a copy that answers while the directory is away.
type Follower interface {
	// Follow hands over batches, in order, until ctx ends or something fails:
	// first all that has changed since the cookie, then what changes later, as
	// soon as the server's way of telling allows. Without a cookie, or with one
	// that the server no longer knows, it begins with everything: a batch with
	// Full set. While nothing changes and the server answers, an empty batch with
	// Complete says so, at least twice a minute. An error of emit ends it. Errors are KindUnavailable where
	// coming again may help, KindInvalid where only another setting does.
	Follow(ctx context.Context, cookie []byte, emit func(Batch) error) error
}

// Batch is what a Follower has learnt, at most 500 entries at a time.
type Batch struct {
	// Full is set on the first batch of a read of everything: of what the copy
	// has, that which no batch from here to the next Complete has named is no
	// longer there.
	Full bool
	// Changed entries are as they are now; they may be known already.
	Changed []Record
	// Gone are the keys of entries that are no longer there, or no longer in
	// scope.
	Gone []string
	// Complete says that, with this batch, the copy is what the directory was
	// at some moment since the last one.
	Complete bool
	// Cookie, given to a later Follow, goes on behind this batch. It is empty
	// where one cannot be had in the middle of a read; at most 64 KiB.
	Cookie []byte
}

// Record is what a copy keeps of an entry: of a person, a shared mailbox, or a
// list.
type Record struct {
	Entry
	// Logins are the names that sign in as the entry, as Login.Key makes them.
	Logins []string
	// Groups are the keys or, in lower case, the normalized DNs of the groups
	// that the entry itself says it is in. Most directories say it in List
	// alone.
	Groups []string
	// List is set where the entry is a group.
	List *List
	// PasswordChanged is the directory's time stamp of the last change of the
	// password, whatever its form; a copy compares it only. Empty where the
	// directory does not tell.
	PasswordChanged string
	// DisabledWhy is a phrase for operators: why the entry is disabled.
	DisabledWhy string
	// Hidden entries are left out of address books.
	Hidden bool
}

// List is who is behind a group, and who may send to it. A group without
// addresses is none that gets mail, but may be a member of one that does.
type List struct {
	// Members are the normalized DNs of members of the same directory, as
	// NormalDN makes them, sorted. They may be lists, and may be missing.
	Members []string
	// Uids are bare user names of members (memberUid of RFC 2307).
	Uids []string
	// External are members known by address alone.
	External []string
	// Senders are the DNs and addresses that may send to the list; empty is
	// everybody whom the rest allows. MembersOnly lists take members' mail.
	Senders     []string
	MembersOnly bool
	// InsideOnly lists take mail from signed-in senders only.
	InsideOnly bool
	// Moderators are the DNs and addresses of whom mail is shown to first.
	Moderators []string
	// Query is the members' LDAP URL of a dynamic group (memberURL), which the
	// follower has already asked: Members has its result.
	Query string
}

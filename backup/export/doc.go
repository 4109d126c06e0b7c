// Package export writes messages into files that other programs read: mbox, Maildir++,
// or EML files in a zip.
//
// It owns the three forms, the names of files, and that nothing of an export has its
// final name before all of it is on the disk. It finds no message, opens none, and
// knows neither archive nor account: who has the messages hands them in one by one,
// and at most a few buffers of one are in memory. One that comes piece by piece, and
// may yet turn out not to be whole, is collected first (see Pending).
//
// Beside the messages each export has messages.jsonl: a line of JSON for each message,
// in the order in which they were added, with what the form itself cannot say (see
// Line). A folder's name is there as it was; the names of files are made safe from it.
//
//   - Mbox (RFC 4155, with the quoting called mboxrd) is a directory with a file for
//     each folder, below directories for the folders above it. Lines end with LF alone,
//     and a message that does not end with a line end gets one. Flags and keywords are
//     in messages.jsonl only, for the message itself is not changed.
//   - Maildir is a Maildir++ directory: INBOX is its root, Projects/2026 is the
//     directory .Projects.2026 (in modified UTF-7, RFC 3501 5.1.3; a dot or backslash
//     of the name itself is \2e or \5c, as Dovecot's listescape writes them). Messages
//     are byte for byte what they were, with CRLF; flags are in the names of the files,
//     INTERNALDATE is their time of modification, keywords are the letters a to z that
//     the folder's dovecot-keywords explains. Keywords from the 27th on are in
//     messages.jsonl only.
//   - Zip has a directory for each folder and in it 000001.eml and so on, byte for byte,
//     with INTERNALDATE as their time. It is a zip64 where it has to be.
//
// Files have mode 0600 and directories 0700. An export that was killed leaves a
// directory .NAME.*.new beside its target, which can be deleted.
package export

// Package directories opens the directories that the cluster's settings name,
// follows them while the node runs, and tries them before they are relied on.
//
// Directories is one directory.Directory for as long as the node is open: what
// the settings change is opened anew, the rest stays with its connections and
// with what it remembers. The package owns which settings of LDAP a directory is
// opened with, and that a copy, where the cluster keeps one, answers first. It writes no
// copy, and knows no account.
package directories

// Package directories opens the directories that the cluster's settings name,
// follows them while the node runs, and tries them before they are relied on.
//
// Directories is one directory.Directory for as long as the node is open: what
// the settings change is opened anew, the rest stays with its connections and
// with what it remembers. The package owns which settings of LDAP a directory is
// opened with. It keeps no copy of an entry, and knows no account.
package directories

package node

import "rookery"

// mailGroups is how many mail groups a new cluster begins with.
const mailGroups = 4

// firstMail are the mail groups a new cluster begins with.
func firstMail() []rookery.GroupID {
	ids := make([]rookery.GroupID, mailGroups)
	for i := range ids {
		ids[i] = rookery.SystemGroup + 1 + rookery.GroupID(i)
	}
	return ids
}

package v1alpha1

// ProbeName is the name of a DaemonSet that berth doctor asks the API server about, by a dry run. To one of this
// name each webhook answers with a warning that says who it is, whatever the policies say.
const ProbeName = "berth-doctor"

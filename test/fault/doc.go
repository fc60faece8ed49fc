package fault

// The folder holds tests only, which say what it is for; with this file it is a package that builds like any other.

"""Events told to other programs: signed JSON by POST, at least once, each on the record until it is taken or given up."""

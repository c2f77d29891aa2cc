"""Preview: results.json in, the pages that a student and the staff would see out; nothing that grades imports it."""

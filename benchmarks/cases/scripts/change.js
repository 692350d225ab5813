function process(record, ctx, logger, next) {
  if (!record.isActive) return null;
  record.fullName = record.profile.firstName + ' ' + record.profile.lastName;
  record.topics = record.data.interests.map((interest) => interest.name).join(';');
  record.isNew = record.createdTimestamp > 1700000000000;
  delete record.preferences;
  return record;
}

// Apart from slack.ts, because who only needs the names shall not load the emulator.

/** The hook that `emulate` makes by itself; it leads to #general. */
export const SLACK_HOOK_PATH = '/services/T000000001/B000000001/X000000001'
export const SLACK_TOKEN = 'xoxb-inlet-local'

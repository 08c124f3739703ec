export { noticeSubscribers, postNotice } from './jobs/post-notice'
export { notificationRoutes } from './routes'
export { enqueueNotices } from './sweeps/notices'

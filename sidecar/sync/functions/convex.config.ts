import { defineApp } from "convex/server";
import renderSidecar from "./renderSidecar/convex.config";

const app = defineApp();
app.use(renderSidecar);
export default app;

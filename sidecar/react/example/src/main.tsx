/** Where the deployment is, who looks at it, and the page. */
import { ConvexProviderWithAuth, ConvexReactClient } from "convex/react";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./App";
import { useBackendAuth } from "./auth";

/** Of the application's own backend; with one deployment alone, import.meta.env.VITE_CONVEX_URL would do. */
type Settings = { convexUrl: string; sessionId: string; first: string };

async function start(): Promise<void> {
  const { convexUrl, sessionId, first } = (await (await fetch("/settings.json")).json()) as Settings;
  const asked = new URLSearchParams(location.search);
  const root = document.getElementById("root");
  if (root === null) return;
  createRoot(root).render(
    <StrictMode>
      <ConvexProviderWithAuth client={new ConvexReactClient(convexUrl)} useAuth={useBackendAuth}>
        <App sessionId={asked.get("session") ?? sessionId} first={Number(asked.get("first") ?? first)} />
      </ConvexProviderWithAuth>
    </StrictMode>,
  );
}

void start();
